/**
 * What is true in a run: every value that was ever made, and what each row of the store was, from when until when.
 *
 * Values are unique, so that what a read brings names the one write that it is of.
 */
import type { Version } from '../../src/entry.ts'

export interface Value {
  /** The key that it was made for. */
  readonly key: string
  readonly id: number
  /** Of an update: the value that it was made from, null for none. */
  readonly from?: number | null
}

/** What a row was for a while; without `id`: there was none. */
export interface RowState {
  readonly index: number
  readonly id: number | undefined
  readonly version: Version
  readonly sinceMs: number
  /** Infinity: it still is. */
  untilMs: number
}

export interface Made {
  readonly key: string
  readonly atMs: number
  /** Under which versions it was put; undefined where it never left. */
  lowest: Version | undefined
  highest: Version | undefined
}

export class Truth {
  readonly #made = new Map<number, Made>()
  readonly #rows = new Map<string, RowState[]>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** @param key with its cache: as it lies on the nodes */
  make(key: string, from?: number | null): Value {
    const id = this.#made.size + 1
    this.#made.set(id, { key, atMs: this.#nowMs(), lowest: undefined, highest: undefined })
    return from === undefined ? { key, id } : { key, id, from }
  }

  made(id: number): Made | undefined {
    return this.#made.get(id)
  }

  /** A value left for a node under a version. */
  stamped(id: number, version: Version): void {
    const made = this.#made.get(id)
    if (made === undefined) return
    if (made.lowest === undefined || version < made.lowest) made.lowest = version
    if (made.highest === undefined || version > made.highest) made.highest = version
  }

  /** The store committed a change. @returns the state that it ended */
  commit(key: string, id: number | undefined, version: Version): RowState {
    const states = this.states(key)
    const before = states.at(-1)!
    const nowMs = this.#nowMs()
    before.untilMs = nowMs
    states.push({ index: states.length, id, version, sinceMs: nowMs, untilMs: Number.POSITIVE_INFINITY })
    return before
  }

  /** From the oldest; the first is that there was no row. */
  states(key: string): RowState[] {
    let states = this.#rows.get(key)
    if (states === undefined) {
      states = [{ index: 0, id: undefined, version: 0n, sinceMs: 0, untilMs: Number.POSITIVE_INFINITY }]
      this.#rows.set(key, states)
    }
    return states
  }

  current(key: string): RowState {
    return this.states(key).at(-1)!
  }

  /** The latest state in which the row was this value, or none. */
  stateOf(key: string, id: number | undefined): RowState | undefined {
    return this.states(key).findLast((state) => state.id === id)
  }
}
