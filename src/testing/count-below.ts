/**
 * Binary search, once for all that looks something up in a sorted row.
 */

/** @returns for how many the condition holds, which holds for the first so many of those sorted and for no later one */
export function countBelow(sorted: ArrayLike<number>, holds: (each: number) => boolean): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(sorted[middle]!)) low = middle + 1
    else high = middle
  }
  return low
}
