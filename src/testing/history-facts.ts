/**
 * What follows from a history before anything is judged: which operations belong to a key, who wrote a value, and by when it had happened.
 *
 * A write has happened by its return where it was acknowledged, and in any case by the return of the first operation that saw its value:
 * so a write of unknown outcome that somebody read is as certain as any other, and one that nobody read proves nothing. A read that knows
 * the version of what it saw tells that of the write too.
 */
import { ConfigurationError } from '../errors.ts'
import { type History, KIND, NONE, OUTCOME } from './history.ts'

export class HistoryFacts {
  readonly history: History
  /** Operations in the order of their keys; those of key k lie from `starts[k]` to `starts[k + 1]`. */
  readonly byKey: Int32Array
  readonly starts: Int32Array
  /** By a value's number: the operation that wrote it. */
  readonly writerOf: Int32Array
  /** Of a write: by when it had happened; Infinity where that is not known. */
  readonly endMs: Float64Array
  /** 0n: not known. */
  readonly version: BigInt64Array

  constructor(history: History) {
    this.history = history
    const { columns, size } = history
    this.starts = new Int32Array(history.keys.size + 1)
    for (let at = 0; at < size; at++) this.starts[columns.key[at]! + 1]!++
    for (let key = 0; key < history.keys.size; key++) this.starts[key + 1]! += this.starts[key]!
    this.byKey = new Int32Array(size)
    const next = this.starts.slice()
    for (let at = 0; at < size; at++) this.byKey[next[columns.key[at]!]!++] = at
    this.writerOf = new Int32Array(history.values.size).fill(NONE)
    this.endMs = new Float64Array(size).fill(Number.POSITIVE_INFINITY)
    this.version = columns.version.slice(0, size)
    this.#findWriters()
    this.#findEnds()
  }

  /** Whether a write is known to have happened. */
  hasHappened(write: number): boolean {
    return this.endMs[write]! < Number.POSITIVE_INFINITY
  }

  #findWriters(): void {
    const { columns, size, values } = this.history
    for (let at = 0; at < size; at++) {
      const kind = columns.kind[at]
      if (kind !== KIND.write && kind !== KIND.update) continue
      const value = columns.value[at]!
      if (this.writerOf[value] !== NONE)
        throw ConfigurationError.of('history: value of a write', 'one that no other write has', values.nameOf(value))
      this.writerOf[value] = at
    }
  }

  #findEnds(): void {
    const { columns, size } = this.history
    for (let at = 0; at < size; at++) {
      if (columns.outcome[at] !== OUTCOME.ok) continue
      const returnMs = columns.return[at]!
      if (columns.kind[at] !== KIND.read) this.endMs[at] = Math.min(this.endMs[at]!, returnMs)
      const writer = this.#seenWriter(at)
      if (writer === NONE) continue
      this.endMs[writer] = Math.min(this.endMs[writer]!, returnMs)
      if (columns.kind[at] === KIND.read && this.version[writer] === 0n) this.version[writer] = columns.version[at]!
    }
  }

  /** Who wrote what an operation saw, if it can have. */
  #seenWriter(at: number): number {
    const { columns } = this.history
    const value = columns.kind[at] === KIND.read ? columns.value[at]! : columns.from[at]!
    const writer = value === NONE ? NONE : this.writerOf[value]!
    if (writer === NONE || columns.key[writer] !== columns.key[at]) return NONE
    return columns.outcome[writer] === OUTCOME.failed || columns.call[writer]! > columns.return[at]! ? NONE : writer
  }
}
