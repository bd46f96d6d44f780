/**
 * Issues versions: numbers that order the writes of one key whoever makes them.
 *
 * A hybrid logical clock in 63 bits (Kulkarni et al., "Logical Physical Clocks", 2014): 44 of wall milliseconds, 8 of a counter within the
 * millisecond, 11 of the writer's number. A process's own versions only grow, also when its wall clock is set back; two processes in the
 * same millisecond differ by their writer numbers; and a process that meets a version from ahead of its clock goes on from there, so that
 * one whose clock lags behind the others' can still write. More than 256 versions in a millisecond borrow from the next ones.
 */
import type { Clock, Random } from './clock.ts'
import type { Version, VersionClock } from './entry.ts'

const COUNTER_LIMIT = 256
const WRITERS = 2048
const MS_SHIFT = 19n
const COUNTER_SHIFT = 11
const FARTHEST_AHEAD_MS = 3_600_000
/** Clocks of one fleet differ by less at the very most, ms: see `fleet-clock.ts`. */
const CLOCKS_DIFFER_MS = 500
/** And by less as a rule, ms: each is set by the quickest of several pings. */
const APART_MS = 25

/** @param writer 0..2047; drawn at random when not given, so two of n processes share one with a chance of about n²/4096 */
export function versionClock(clock: Pick<Clock, 'now'>, random: Random, writer: number = Math.floor(random() * WRITERS)): VersionClock {
  let lastMs = 0
  let counter = 0
  let base = 0n
  const moveTo = (ms: number): void => {
    lastMs = ms
    counter = 0
    base = BigInt(ms) << MS_SHIFT
  }
  return {
    next() {
      const nowMs = clock.now()
      if (nowMs > lastMs) moveTo(nowMs)
      else if (++counter === COUNTER_LIMIT) moveTo(lastMs + 1)
      return base | BigInt((counter << COUNTER_SHIFT) | writer)
    },
    observe(version) {
      const ms = versionMs(version)
      if (ms >= lastMs && ms - clock.now() <= FARTHEST_AHEAD_MS) moveTo(ms + 1)
    },
    isOwn: (version) => Number(version % BigInt(WRITERS)) === writer,
    isDoubtful: (newer, own) => versionMs(newer) - versionMs(own) < CLOCKS_DIFFER_MS,
    isSimultaneous: (newer, own) => versionMs(newer) - versionMs(own) < APART_MS,
    isAhead: (version) => versionMs(version) > clock.now(),
  }
}

/** The wall time in a version, ms since the epoch. */
export function versionMs(version: Version): number {
  return Number(version >> MS_SHIFT)
}

/** The earliest version of a wall time. @param ms since the epoch */
export function versionAt(ms: number): Version {
  return BigInt(ms) << MS_SHIFT
}
