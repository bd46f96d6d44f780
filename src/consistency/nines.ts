/**
 * Consistency as a number of nines, told as what was seen and no more.
 *
 * Where copies were stale it is their share; where none was, all that n looks can say is that the rate is below 3/n, with 95 % confidence
 * (the rule of three: (1 - 3/n)^n ≈ e^-3 ≈ 0.05; Hanley and Lippman-Hand, JAMA 249, 1983).
 */
import type { Nines } from './consistency.ts'

/** The 95 % bound on the events expected where none was seen. */
const NONE_SEEN = 3

/** @param copies that were judged @param stale of them */
export function ninesOf(copies: number, stale: number): Nines {
  if (copies === 0) return { value: 0, isLowerBound: true, text: 'nothing checked yet' }
  const value = stale === 0 ? ninesIn(NONE_SEEN / copies) : ninesIn(stale / copies)
  const checked = copies.toLocaleString('en')
  const text =
    stale === 0 ? `≥ ${value} (none stale in ${checked} copies)` : `${value} (${stale.toLocaleString('en')} stale in ${checked} copies)`
  return { value, isLowerBound: stale === 0, text }
}

/** Cut, not rounded: 99.8 % is not three nines. */
function ninesIn(wrong: number): number {
  // What is 3 is not to become 2.9 by the way that logarithms round.
  return wrong >= 1 ? 0 : Math.floor(-Math.log10(wrong) * 10 + 1e-9) / 10
}
