/**
 * Issues versions: numbers that order the writes of one key whoever makes them.
 *
 * A hybrid logical clock in 63 bits: 44 of wall milliseconds, 8 of a counter within the millisecond, 11 of the writer's number. A process's
 * own versions only grow, also when its wall clock is set back; two processes in the same millisecond differ by their writer numbers.
 * More than 256 versions in a millisecond borrow from the next ones. (Kulkarni et al., "Logical Physical Clocks", 2014, without the
 * merging: what a store or an owner answers with is ordered by the store or the owner.)
 */
import type { Clock, Random } from './clock.ts'
import type { Version } from './entry.ts'

const COUNTER_LIMIT = 256
const WRITERS = 2048
const MS_SHIFT = 19n
const COUNTER_SHIFT = 11

/** @param writer 0..2047; drawn at random when not given, so two of n processes share one with a chance of about n²/4096 */
export function versionClock(clock: Pick<Clock, 'now'>, random: Random, writer: number = Math.floor(random() * WRITERS)): () => Version {
  let lastMs = 0
  let counter = 0
  let base = 0n
  return () => {
    const nowMs = clock.now()
    if (nowMs > lastMs) {
      lastMs = nowMs
      counter = 0
      base = BigInt(lastMs) << MS_SHIFT
    } else if (++counter === COUNTER_LIMIT) {
      lastMs++
      counter = 0
      base = BigInt(lastMs) << MS_SHIFT
    }
    return base | BigInt((counter << COUNTER_SHIFT) | writer)
  }
}

/** The wall time in a version, ms since the epoch. */
export function versionMs(version: Version): number {
  return Number(version >> MS_SHIFT)
}
