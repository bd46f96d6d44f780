/**
 * Which writes of one key are later than others, as far as anyone can tell, and whether something acknowledged has overtaken one of them.
 *
 * By version where both are known, else by real time: a write is later than one that had happened before it was called. Where the two
 * contradict each other, nothing is certain and nothing is claimed; so what is called overtaken here is overtaken. A question is answered
 * from running maxima over the acknowledged writes in the order of their returns, in logarithmic time.
 */
import { countBelow } from './count-below.ts'
import { NONE, OUTCOME } from './history.ts'
import type { HistoryFacts } from './history-facts.ts'

export class WriteOrder {
  readonly #facts: HistoryFacts
  readonly #slackMs: number
  /** Acknowledged, in the order of their returns. */
  readonly #acknowledged: Int32Array
  readonly #returns: Float64Array
  /** Among the first n + 1 acknowledged: of the highest version, called last, and called last of those without a version. */
  readonly #highest: Int32Array
  readonly #latest: Int32Array
  readonly #latestUnversioned: Int32Array

  /** @param writes writes, updates and deletes of one key @param slackMs by how much real time must differ to prove an order */
  constructor(facts: HistoryFacts, writes: readonly number[], slackMs: number) {
    this.#facts = facts
    this.#slackMs = slackMs
    const { columns } = facts.history
    const acknowledged = writes.filter((write) => columns.outcome[write] === OUTCOME.ok)
    this.#acknowledged = Int32Array.from(acknowledged).sort((a, b) => columns.return[a]! - columns.return[b]!)
    const count = this.#acknowledged.length
    this.#returns = Float64Array.from(this.#acknowledged, (write) => columns.return[write]!)
    this.#highest = new Int32Array(count)
    this.#latest = new Int32Array(count)
    this.#latestUnversioned = new Int32Array(count)
    let [highest, latest, latestUnversioned] = [NONE, NONE, NONE]
    for (let nth = 0; nth < count; nth++) {
      const write = this.#acknowledged[nth]!
      const version = facts.version[write]!
      const callMs = columns.call[write]!
      if (version !== 0n && (highest === NONE || version > facts.version[highest]!)) highest = write
      if (latest === NONE || callMs > columns.call[latest]!) latest = write
      if (version === 0n && (latestUnversioned === NONE || callMs > columns.call[latestUnversioned]!)) latestUnversioned = write
      this.#highest[nth] = highest
      this.#latest[nth] = latest
      this.#latestUnversioned[nth] = latestUnversioned
    }
  }

  /** Whether `later` certainly came after `earlier`. */
  isLater(later: number, earlier: number): boolean {
    const { version } = this.#facts
    if (version[later] === 0n || version[earlier] === 0n) return this.#isAfter(later, earlier)
    return version[later]! > version[earlier]! && !this.#isAfter(earlier, later)
  }

  /** @returns a write that was acknowledged before `beforeMs` and is later than `write`; NONE when there is none */
  overtaking(write: number, beforeMs: number): number {
    const last = this.#lastReturnedBefore(beforeMs)
    if (last < 0) return NONE
    if (this.#facts.version[write] === 0n) return this.#ifLater(this.#latest[last]!, write)
    const byTime = this.#ifLater(this.#latestUnversioned[last]!, write)
    if (byTime !== NONE) return byTime
    const highest = this.#highest[last]!
    if (highest === NONE || this.#facts.version[highest]! <= this.#facts.version[write]!) return NONE
    if (this.isLater(highest, write)) return highest
    // Version and time contradict each other: look whether they agree for another.
    for (let nth = last; nth >= 0; nth--) if (this.isLater(this.#acknowledged[nth]!, write)) return this.#acknowledged[nth]!
    return NONE
  }

  /** @returns the write that was acknowledged last before `beforeMs`; NONE when there is none */
  acknowledgedBefore(beforeMs: number): number {
    const last = this.#lastReturnedBefore(beforeMs)
    return last < 0 ? NONE : this.#acknowledged[last]!
  }

  #ifLater(candidate: number, write: number): number {
    return candidate !== NONE && this.isLater(candidate, write) ? candidate : NONE
  }

  #isAfter(later: number, earlier: number): boolean {
    return this.#facts.history.columns.call[later]! > this.#facts.endMs[earlier]! + this.#slackMs
  }

  #lastReturnedBefore(beforeMs: number): number {
    return countBelow(this.#returns, (returnMs) => returnMs < beforeMs) - 1
  }
}
