/**
 * Whether a cache takes more calls now, with what it does not take counted.
 */
import type { RingtailError } from '../errors.ts'
import type { Outcomes } from '../metrics/outcomes.ts'

/** `resilience/admission.ts`, where there is a tier. */
export interface Admitting {
  readonly closed: boolean
  refusal(what: string): RingtailError
}

export class CacheDoor {
  readonly #admitting: Admitting | undefined
  readonly #outcomes: Outcomes
  readonly #what: string

  /** @param what for messages: `cache 'product'` */
  constructor(admitting: Admitting | undefined, outcomes: Outcomes, what: string) {
    this.#admitting = admitting
    this.#outcomes = outcomes
    this.#what = what
  }

  get closed(): boolean {
    return this.#admitting?.closed === true
  }

  /** Why so many reads are not taken. */
  refusedReads(count: number): RingtailError {
    for (let read = 0; read < count; read++) this.#outcomes.record('error', undefined, 0)
    return this.#admitting!.refusal(this.#what)
  }

  /** Why so many changes are not taken. */
  refusedChanges(kind: 'write' | 'delete', count: number): RingtailError {
    for (let change = 0; change < count; change++) this.#outcomes.recordWrite(kind, false, 0)
    return this.#admitting!.refusal(this.#what)
  }
}
