/**
 * Numbers over rounds: the middle, and how far the rounds lie apart.
 *
 * Medians, since a round in which the machine was busy with something else says nothing about the library; the spread beside them, since
 * it says how much the median is worth.
 */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @param rounds at least one figure, in any order */
export function summaryOf(rounds: readonly number[]): Summary {
  if (rounds.length === 0) throw new RangeError('a summary needs at least one round, but got: none')
  const sorted = [...rounds].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** The median is that of ours over that of theirs; the spread is that of the rounds' own ratios, each of two runs close in time. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Summary {
  const { min, max } = summaryOf(ours.map((each, round) => each / theirs[round]!))
  return { median: summaryOf(ours).median / summaryOf(theirs).median, min, max }
}
