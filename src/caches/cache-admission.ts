/**
 * Who goes into a cache: how many calls are under way, and what is not taken now, which is counted.
 *
 * A refusal comes a turn of the event loop later. Who tries again at once, and again, would else never leave the turn in which he was refused, and
 * nothing could end what he is refused for.
 */
import type { Clock } from '../clock.ts'
import type { RingtailError } from '../errors.ts'
import type { Outcomes } from '../metrics/outcomes.ts'

/** `resilience/admission.ts`, where there is a tier. */
export interface Admitting {
  /** Calls under way, each once, however many keys it is of. Counted by the caches that make them. */
  calls: number
  readonly closed: boolean
  refusal(what: string): RingtailError
}

export interface CacheAdmissionParts {
  /** Default: every call is taken. */
  readonly admitting?: Admitting | undefined
  readonly outcomes: Outcomes
  readonly clock: Clock
}

export class CacheAdmission {
  readonly counts: Pick<Admitting, 'calls'>
  readonly #parts: CacheAdmissionParts
  readonly #what: string

  /** @param what for messages: `cache 'product'` */
  constructor(parts: CacheAdmissionParts, what: string) {
    this.#parts = parts
    this.counts = parts.admitting ?? { calls: 0 }
    this.#what = what
  }

  get closed(): boolean {
    return this.#parts.admitting?.closed === true
  }

  /** Rejects, for so many reads. */
  refuseReads(count: number): Promise<never> {
    for (let read = 0; read < count; read++) this.#parts.outcomes.record('error', undefined, 0)
    return this.#refuse()
  }

  /** Rejects, for so many changes. */
  refuseChanges(kind: 'write' | 'delete', count: number): Promise<never> {
    for (let change = 0; change < count; change++) this.#parts.outcomes.recordWrite(kind, false, 0)
    return this.#refuse()
  }

  #refuse(): Promise<never> {
    const error = this.#parts.admitting!.refusal(this.#what)
    return new Promise((_, reject) => this.#parts.clock.soon(() => reject(error)))
  }
}
