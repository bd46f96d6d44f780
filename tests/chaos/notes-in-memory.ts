/**
 * What a simulated client notes of its requests, in the memory of the simulation, which outlives it.
 */
import type { Operation } from '../../src/testing/index.ts'
import type { RequestNotes, Tried } from './requester.ts'

export class NotesInMemory implements RequestNotes {
  readonly #operations: Operation[] = []
  readonly #tried: Tried[] = []

  /** All that was done and seen, and what was tried and had no end: it may have happened. */
  operations(): Operation[] {
    return [...this.#operations, ...this.#tried.map((tried): Operation => ({ ...tried, returnMs: tried.callMs, outcome: 'unknown' }))]
  }

  tries(change: Tried): void {
    this.#tried.push(change)
  }

  changed(change: Operation): void {
    const { key, value, callMs } = change
    const at = this.#tried.findIndex((tried) => tried.key === key && tried.value === value && tried.callMs === callMs)
    this.#tried.splice(at, 1)
    this.#operations.push(change)
  }

  saw(read: Operation): void {
    this.#operations.push(read)
  }

  close(): void {}
}
