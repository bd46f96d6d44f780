/**
 * Whether an entry may still be on its way to the first owner of its key.
 *
 * A write goes to all owners at once, and the first one's word counts: if that refuses it for an entry which, by differing clocks, may have
 * been issued before it, the writer makes it once more (`keyspaces/keyspace.ts`). That is right only where nobody has been told of it yet: who was
 * told, and then overwrote it, would see it come back. So what other owners hold and the first one does not is neither answered nor copied until it
 * is too old for that: twice as old as clocks may be apart.
 */
import type { Clock } from '../clock.ts'
import { versionOf } from '../codec/envelope.ts'
import type { CacheNode } from '../node/node.ts'
import { type Answer, compareAnswers, holdingOf } from './newest.ts'

/** Twice what the clocks of two processes may be apart (`APART_MS` of `version-clock.ts`), ms. */
export const SETTLED_AFTER_MS = 50
/** Of a version: its low bits that are not milliseconds. */
const MS_SHIFT = 19n

/** For how long the newest of some owners' answers is not settled yet, ms; 0: it is. @param first the key's first owner */
export function unsettledMs(answers: readonly Answer[], newest: Answer, first: CacheNode, clock: Clock): number {
  if (newest.node === first || holdingOf(newest.bytes) !== 'entry') return 0
  const ofFirst = answers.find(({ node }) => node === first)
  return ofFirst === undefined || compareAnswers(newest, ofFirst) <= 0 ? 0 : youngForMs(newest.bytes!, clock.now())
}

/** For how long an entry is younger than `SETTLED_AFTER_MS`, ms; 0: it is not. One from the future by more than that is nobody's who may come again. */
export function youngForMs(entry: Uint8Array, nowMs: number): number {
  const ageMs = nowMs - Number(versionOf(entry) >> MS_SHIFT)
  return ageMs < SETTLED_AFTER_MS && ageMs > -SETTLED_AFTER_MS ? SETTLED_AFTER_MS - ageMs : 0
}
