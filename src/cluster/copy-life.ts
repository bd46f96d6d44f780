/**
 * How long a copy of an entry lives on a node that lacks it: as long as the entry, and never where it could bring back what was deleted.
 */
import {
  FORMAT,
  freshUntilOf,
  graceOf,
  HEADER_BYTES,
  isEnvelope,
  kindOf,
  MAGIC,
  MAX_FRESH_UNTIL_MS,
  OFFSET,
  versionOf,
} from '../codec/envelope.ts'
import { LATE_MS } from '../node/node.ts'
import { holdingOf } from './newest.ts'

/** How long a tombstone is kept after its delete, ms. */
const TOMBSTONE_MS = 300_000
/** How young a version must be to be copied to an owner that holds nothing, ms: half a tombstone's life, so that clocks may disagree. */
const COPIED_WITHIN_MS = 150_000
/** Below the milliseconds of a version: 8 bits of counter and 11 of writer. */
const VERSION_MS_SHIFT = 19n

/**
 * @param isEmptied whether the node that holds nothing is known to have lost what it had, so that it means nothing
 * @returns how long a copy of `newest` is to live where `held` lies, ms, 0 for ever; undefined: there it is not to be copied to
 */
export function copyTtlMs(newest: Uint8Array, held: Uint8Array | undefined, nowMs: number, isEmptied = false): number | undefined {
  const holding = holdingOf(held)
  if (holding === 'vacant' || (holding === 'foreign' && isOfAnotherRelease(held!))) return undefined
  const versionAgeMs = nowMs - Number(versionOf(newest) >> VERSION_MS_SHIFT)
  if (holding === 'nothing' && !isEmptied && versionAgeMs >= COPIED_WITHIN_MS) return undefined
  const kind = kindOf(newest)
  if (kind === 'pending') return 0
  const watchMs = TOMBSTONE_MS - versionAgeMs
  // A record of a group stands until the end of time.
  if (kind === 'tombstone' && freshUntilOf(newest) === MAX_FRESH_UNTIL_MS) return 0
  // What is deleted goes, also when the tombstone's own time is nearly up.
  if (kind === 'tombstone') return Math.max(watchMs, LATE_MS)
  const livesMs = freshUntilOf(newest) + graceOf(newest) - nowMs
  // A negative entry may stand in a tombstone's place, and then keeps watch in its stead.
  const ttlMs = kind === 'negative' ? Math.max(livesMs, watchMs) : livesMs
  return ttlMs > 0 ? ttlMs : undefined
}

/** An envelope of a format that this release does not read is not its to overwrite. */
function isOfAnotherRelease(bytes: Uint8Array): boolean {
  return !isEnvelope(bytes) && bytes.length >= HEADER_BYTES && bytes[OFFSET.magic] === MAGIC && bytes[OFFSET.format] !== FORMAT
}
