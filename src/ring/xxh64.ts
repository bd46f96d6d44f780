/**
 * XXH64 as a plain number, without waiting.
 *
 * Placement needs a hash that spreads well, is the same in every process and language, and costs little on each read. XXH64 is that;
 * `xxhash-wasm` is its WebAssembly build, and compiling it is the one thing that takes time. So it is loaded once, by `prepareXxh64`, when
 * a tier is made and not when the library is imported; from then on `xxh64` is synchronous. A bigint per read would cost more than the
 * hash, so the top 53 bits come back: all that a double holds exactly. Source: https://github.com/Cyan4973/xxHash (specification, XXH64).
 */
import { ConfigurationError } from '../errors.ts'

/** How many values `xxh64` can return: they are the whole numbers from 0 to `XXH64_SPACE - 1`. */
export const XXH64_SPACE = 2 ** 53

type Hash64 = (text: string, seed?: bigint) => bigint

let loading: Promise<void> | undefined
let hash64: Hash64 = refuse

/** Loads the hash, once for the process: later calls return the same promise, and one that failed may be repeated. */
export function prepareXxh64(): Promise<void> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

/**
 * The top 53 bits of the XXH64 of the text's UTF-8 bytes: a whole number in [0, 2^53), exact. A lone surrogate counts as U+FFFD.
 * @param seed 0 to 2^64 - 1, default 0: another seed is another, independent hash
 * @throws ConfigurationError until `prepareXxh64()` has resolved
 */
export function xxh64(text: string, seed: bigint = 0n): number {
  scratch[0] = hash64(text, seed)
  return halves[HIGH]! * 2 ** 21 + (halves[LOW]! >>> 11)
}

// Reading a 64-bit integer as two halves is quicker than shifting a bigint, which allocates.
const scratch = new BigUint64Array(1)
const halves = new Uint32Array(scratch.buffer)
scratch[0] = 1n
const LOW = halves[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

async function load(): Promise<void> {
  const { default: xxhash } = await import('xxhash-wasm')
  hash64 = (await xxhash()).h64
}

function refuse(): never {
  throw new ConfigurationError('xxh64: needs prepareXxh64() (or the placement\u2019s prepare()) awaited first, but got: a call before it')
}
