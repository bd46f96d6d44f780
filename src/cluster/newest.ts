/**
 * Which of several owners' answers is the newest.
 *
 * Owners hold the same key in different states while changes are under way or were missed, and each state has its place in the key's
 * order: an absence below everything, then a vacant entry, which says only that somebody loads, then bytes that are no envelope, then
 * envelopes by their stamps. An envelope that was cut short or bent on its way must not win by what its header happens to say: where
 * answers differ, the winner's checksum is looked at too.
 */
import { compareStamps, isEnvelope, isSealed, kindOf } from '../codec/envelope.ts'
import type { CacheNode } from '../node/node.ts'

/** What one owner holds under a key; no bytes: nothing. */
export interface Answer {
  readonly node: CacheNode
  readonly bytes: Uint8Array | undefined
}

export type Holding = 'nothing' | 'vacant' | 'foreign' | 'entry'

const RANK: Readonly<Record<Holding, number>> = { nothing: 0, vacant: 1, foreign: 2, entry: 3 }

/** @param answers at least one @returns the newest of them; of equal ones the first */
export function newestOf(answers: readonly Answer[]): Answer {
  let newest = answers[0]!
  let differ = false
  for (let at = 1; at < answers.length; at++) {
    const order = compareAnswers(answers[at]!, newest)
    if (order !== 0) differ = true
    if (order > 0) newest = answers[at]!
  }
  if (!differ || isWhole(newest.bytes)) return newest
  return newestOf(answers.filter((answer) => answer !== newest))
}

export function holdingOf(bytes: Uint8Array | undefined): Holding {
  if (bytes === undefined) return 'nothing'
  const kind = isEnvelope(bytes) ? kindOf(bytes) : undefined
  return kind === undefined ? 'foreign' : kind === 'vacant' ? 'vacant' : 'entry'
}

/** Above 0 when `a` is the newer, 0 when neither is. */
export function compareAnswers(a: Answer, b: Answer): number {
  const holding = holdingOf(a.bytes)
  const order = RANK[holding] - RANK[holdingOf(b.bytes)]
  return order !== 0 || holding !== 'entry' ? order : compareStamps(a.bytes!, b.bytes!)
}

/** What has no checksum, being no entry or a header alone, has nothing that could be bent unseen. */
function isWhole(bytes: Uint8Array | undefined): boolean {
  return holdingOf(bytes) !== 'entry' || kindOf(bytes!) === 'tombstone' || isSealed(bytes!)
}
