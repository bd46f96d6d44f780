/**
 * What loading a value took, in 16 bits.
 *
 * XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015) refreshes early in proportion to
 * the cost of a load, which lies anywhere from microseconds to minutes. A logarithm keeps the relative error the same over all of it:
 *
 *     code = 0                                     when the cost is 0: unknown
 *     code = 1 + round(1024 × (log2(ms) + 10))     else, kept within 1..65535
 *     ms   = 2 ^ ((code − 1) / 1024 − 10)
 *
 * so code 1 is about a microsecond, one step 0.07 %, and the last code more years than a clock counts.
 */

const STEPS_PER_OCTAVE = 1024
const OCTAVES_BELOW_1_MS = 10
const MAX_CODE = 0xffff

/** @param ms ≥ 0; what is no positive number is unknown; below 2^-10 ms it is raised to that */
export function loadCostCode(ms: number): number {
  if (!(ms > 0)) return 0
  return Math.min(Math.max(1 + Math.round(STEPS_PER_OCTAVE * (Math.log2(ms) + OCTAVES_BELOW_1_MS)), 1), MAX_CODE)
}

/** @returns ms, within 0.04 % of what was encoded */
export function loadCostMsOf(code: number): number {
  return code === 0 ? 0 : 2 ** ((code - 1) / STEPS_PER_OCTAVE - OCTAVES_BELOW_1_MS)
}
