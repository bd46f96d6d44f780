/**
 * The verdict over a put, given what the key holds: the rule of `scripts/apply.lua` in TypeScript, for nodes without Lua.
 */
import { compareStamps, HEADER_BYTES, isEnvelope, KIND_BYTE, MAGIC, OFFSET, versionOf } from '../codec/envelope.ts'
import type { Version } from '../entry.ts'

/** `store` it; it is `held` already; it is no envelope at all (`foreign`); or refused, by the version that the key holds. */
export type Verdict = 'store' | 'held' | 'foreign' | Version

export function judgePut(next: Uint8Array, expected: Version | undefined, held: Uint8Array | undefined): Verdict {
  if (next.length < HEADER_BYTES || next[OFFSET.magic] !== MAGIC) return 'foreign'
  if (held === undefined || !isEnvelope(held)) return expected === undefined || expected === 0n ? 'store' : 0n
  const version = versionOf(held)
  if (expected !== undefined) {
    const kind = held[OFFSET.kind]
    const live = kind === KIND_BYTE.value || kind === KIND_BYTE.pending
    if (live ? expected !== version : expected !== 0n) return version
  }
  const ahead = compareStamps(next, held)
  if (ahead > 0) return 'store'
  return ahead === 0 && expected === undefined ? 'held' : version
}
