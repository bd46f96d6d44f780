/**
 * Which publishers were heard up to which number: what makes a gap show.
 *
 * A number that is not the next one says that what lies between was missed, or is still to come out of turn, which is not told apart. A
 * publisher that is met for the first time in the middle may have published unheard too. Only so many are remembered; one that was forgotten
 * is met as if for the first time.
 */
import type { BusMessage } from './bus-message.ts'

/** Publishers remembered at most; the one longest silent goes first. */
const MAX_PUBLISHERS = 1_024

export class HeardPublishers {
  readonly #numbers = new Map<string, number>()
  readonly #max: number

  constructor(max: number = MAX_PUBLISHERS) {
    this.#max = max
  }

  /** @returns whether some message of the publisher before this one went unheard */
  misses({ kind, publisher, number }: Pick<BusMessage, 'kind' | 'publisher' | 'number'>): boolean {
    const last = this.#numbers.get(publisher) ?? 0
    this.#numbers.delete(publisher)
    if (this.#numbers.size >= this.#max) this.#numbers.delete(this.#numbers.keys().next().value!)
    this.#numbers.set(publisher, Math.max(last, number))
    // A heartbeat's number is that of a message that must have come already.
    return number > (kind === 'heartbeat' ? last : last + 1)
  }
}
