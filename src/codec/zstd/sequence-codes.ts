/**
 * How lengths and offsets become codes with some bits more (RFC 8878, 3.1.1.3.2.1.1).
 */

/** By code: the first length, and how many bits tell by how much more. */
const LITERAL_STARTS = [...range(16), 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096]
const LITERAL_BITS = [...zeros(16), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12]
const MATCH_STARTS = [...range(32), 32, 34, 36, 38, 40, 44, 48, 56, 64, 80, 96, 128, 256, 512, 1024, 2048, 4096].map((length) => length + 3)
const MATCH_BITS = [...zeros(32), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12]

export const LITERAL_LENGTHS = { starts: Uint16Array.from(LITERAL_STARTS), bits: Uint8Array.from(LITERAL_BITS), symbols: 32 }
export const MATCH_LENGTHS = { starts: Uint16Array.from(MATCH_STARTS), bits: Uint8Array.from(MATCH_BITS), symbols: 49 }
/** Offsets to 2^18: a dictionary and a value. */
export const OFFSETS = { symbols: 19 }

/** Longer values are left to zlib: all lengths of a shorter one have codes. */
export const MAX_CODED_BYTES = 8_000

export const SHORTEST_MATCH = 3

const LITERAL_CODES = codesUpTo(MAX_CODED_BYTES, LITERAL_STARTS)
const MATCH_CODES = codesUpTo(MAX_CODED_BYTES, MATCH_STARTS)

export function literalCode(length: number): number {
  return LITERAL_CODES[length]!
}

/** @param length at least 3 */
export function matchCode(length: number): number {
  return MATCH_CODES[length]!
}

function codesUpTo(most: number, starts: readonly number[]): Uint8Array {
  const codes = new Uint8Array(most + 1)
  for (const [code, start] of starts.entries()) codes.fill(code, start)
  return codes
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}

function zeros(count: number): number[] {
  return range(count).map(() => 0)
}
