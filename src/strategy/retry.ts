/**
 * How a lost compare-and-set is tried again: a bounded number of times, after a short wait that grows and differs between rivals.
 */
import type { Clock, Random } from '../clock.ts'

/** Tries of one `update` before it gives up with a ConflictError. */
export const MAX_TRIES = 16

const FIRST_WAIT_MS = 1
const LONGEST_WAIT_MS = 50

/** Waits a random time below 1, 2, 4 … 50 ms ("full jitter"). @param attempt the try that was lost, from 1 */
export function backOff(attempt: number, parts: { readonly clock: Clock; readonly random: Random }): Promise<void> {
  const longestMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1))
  return new Promise((resolve) => {
    parts.clock.after(parts.random() * longestMs, resolve, { keepAlive: true })
  })
}
