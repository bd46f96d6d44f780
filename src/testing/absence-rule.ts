/**
 * When one key's absence was seen, and whether that can have been.
 *
 * Behind a cache with a store nothing is found only before the first write or after a delete. A delete explains an absence as long as no
 * acknowledged write is certainly later than it; once one is, for some read, it is for all that are called later. So deletes that are
 * overtaken are dropped for good, and all absences of a key are judged in one pass.
 */
import { countBelow } from './count-below.ts'
import { NONE, OUTCOME } from './history.ts'
import type { HistoryFacts } from './history-facts.ts'
import type { WriteOrder } from './write-order.ts'

export class AbsenceRule {
  readonly #facts: HistoryFacts
  readonly #boundOf: (read: number) => number
  readonly #absences: readonly number[]
  /** In the order of their calls. */
  readonly #deletes: readonly number[]
  /** Absences in the order of their returns, and among the first n + 1 of them the one that looked latest, less its bound. */
  readonly #byReturn: readonly number[]
  readonly #latest: number[] = []
  /** By when the first n + 1 deletes had all happened. */
  readonly #deletedMs: number[] = []

  /** @param absences successful reads that found nothing @param deletes those that may have happened */
  constructor(facts: HistoryFacts, absences: readonly number[], deletes: readonly number[], boundOf: (read: number) => number) {
    this.#facts = facts
    this.#boundOf = boundOf
    const { columns } = facts.history
    this.#absences = absences
    this.#deletes = deletes.toSorted((a, b) => columns.call[a]! - columns.call[b]!)
    this.#byReturn = absences.toSorted((a, b) => columns.return[a]! - columns.return[b]!)
    for (const each of this.#deletes) this.#deletedMs.push(Math.max(this.#deletedMs.at(-1) ?? 0, facts.endMs[each]!))
    let latest = NONE
    for (const absence of this.#byReturn) {
      if (latest === NONE || this.#lookedFrom(absence) > this.#lookedFrom(latest)) latest = absence
      this.#latest.push(latest)
    }
  }

  /**
   * @returns a read that found nothing after `write` was acknowledged and returned before `beforeMs`; NONE when there is none. One that may
   * have seen a delete which was still under way then is none: until that is acknowledged, others may still see what it deletes.
   */
  between(write: number, beforeMs: number): number {
    const { columns } = this.#facts.history
    const returned = countBelow(this.#byReturn, (each) => columns.return[each]! < beforeMs)
    if (returned === 0 || columns.outcome[write] !== OUTCOME.ok) return NONE
    const latest = this.#latest[returned - 1]!
    if (this.#lookedFrom(latest) <= columns.return[write]!) return NONE
    const called = countBelow(this.#deletes, (each) => columns.call[each]! < columns.return[latest]!)
    return called > 0 && this.#deletedMs[called - 1]! >= beforeMs ? NONE : latest
  }

  /**
   * Absences of a key with a store that no delete explains, each with an acknowledged write.
   * @param updates more operations that found nothing
   */
  *unexplained(order: WriteOrder, updates: readonly number[]): Generator<readonly [at: number, write: number]> {
    const { columns } = this.#facts.history
    const alive: number[] = []
    let next = 0
    for (const read of [...this.#absences, ...updates].toSorted((a, b) => this.#lookedFrom(a) - this.#lookedFrom(b))) {
      const beforeMs = this.#lookedFrom(read)
      const write = order.acknowledgedBefore(beforeMs)
      if (write === NONE) continue
      while (next < this.#deletes.length && columns.call[this.#deletes[next]!]! < columns.return[read]!) alive.push(this.#deletes[next++]!)
      if (!this.#isExplainedBy(alive, read, beforeMs, order)) yield [read, write]
    }
  }

  /** One absence judged alone, against the writes of `order`. */
  isExplained(read: number, order: WriteOrder, boundMs: number): boolean {
    const beforeMs = this.#facts.history.columns.call[read]! - boundMs
    return order.acknowledgedBefore(beforeMs) === NONE || this.#isExplainedBy([...this.#deletes], read, beforeMs, order)
  }

  /** Drops from the end of `alive` the deletes that were overtaken. */
  #isExplainedBy(alive: number[], read: number, beforeMs: number, order: WriteOrder): boolean {
    const { columns } = this.#facts.history
    for (let nth = alive.length - 1; nth >= 0; nth--) {
      const each = alive[nth]!
      if (order.overtaking(each, beforeMs) !== NONE) alive.splice(nth, 1)
      else if (columns.call[each]! < columns.return[read]!) return true
    }
    return false
  }

  /** The moment from which on what it saw was current at some time. */
  #lookedFrom(absence: number): number {
    return this.#facts.history.columns.call[absence]! - this.#boundOf(absence)
  }
}
