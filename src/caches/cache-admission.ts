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
  /** Reads and writes are not taken. */
  readonly closed: boolean
  /** As many calls as may be are under way: none is taken. */
  readonly full: boolean
  /** No call at all is, for good. */
  readonly ended: boolean
  /** One of `calls` is over. */
  over(): void
  refusal(what: string): RingtailError
}

export interface CacheAdmissionParts {
  /** Default: every call is taken. */
  readonly admitting?: Admitting | undefined
  readonly outcomes: Outcomes
  readonly clock: Clock
}

export class CacheAdmission {
  readonly #parts: CacheAdmissionParts
  readonly #admitting: Admitting | undefined
  readonly #what: string

  /** @param what for messages: `cache 'product'` */
  constructor(parts: CacheAdmissionParts, what: string) {
    this.#parts = parts
    this.#admitting = parts.admitting
    this.#what = what
  }

  get closed(): boolean {
    return this.#admitting?.closed === true
  }

  get ended(): boolean {
    return this.#admitting?.ended === true
  }

  /** A call is under way, until it is `over`. */
  begin(): void {
    if (this.#admitting !== undefined) this.#admitting.calls++
  }

  over(): void {
    this.#admitting?.over()
  }

  /** What goes on after its caller has left is under way all the same. */
  readonly left = (work: Promise<unknown>): void => {
    const over = (): void => this.over()
    this.begin()
    work.then(over, over)
  }

  /** A call from its beginning to its end. A process that is behind takes it too; one that is full, and a tier that is closed, does not. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.ended || this.#admitting?.full === true) return this.#refuse()
    this.begin()
    try {
      return await work()
    } finally {
      this.over()
    }
  }

  /** The same for one change, which is reported. */
  async change<T>(kind: 'write' | 'delete', work: () => Promise<T>): Promise<T> {
    const { outcomes, clock } = this.#parts
    const startMs = clock.monotonic()
    let succeeded = false
    try {
      const result = await this.during(work)
      succeeded = true
      return result
    } finally {
      outcomes.recordWrite(kind, succeeded, clock.monotonic() - startMs)
    }
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
    const error = this.#admitting!.refusal(this.#what)
    return new Promise((_, reject) => this.#parts.clock.soon(() => reject(error)))
  }
}
