/**
 * Packs one cache's values by its dictionary, and finds out for which that is worth it and how thoroughly it can be done.
 *
 * Threshold: values are told apart by their size, in powers of two; a size of which hardly any value shrank is left alone, but for one in 64
 * that tells when that changes. Level: what packing takes of the process's time is measured a second at a time; above a tenth the level goes
 * down a step, below a fiftieth up. So a cache that is being filled packs quickly, and one that is seldom written thoroughly.
 */
import type { Clock } from '../clock.ts'
import type { DictionaryCompression } from './compression.ts'
import type { Dictionaries } from './dictionary.ts'

/** Smaller values are left alone: a frame alone takes 9 bytes, and the dictionary's name 7. */
const LEAST_BYTES = 32
/** Smaller ones hardly shrink without a dictionary. */
const LEAST_ALONE_BYTES = 1_024
/** Steps of thoroughness. */
const LEVELS = [1, 3, 6, 9] as const
const FIRST_STEP = 1
const MOST_TIME = 0.1
const LITTLE_TIME = 0.02
const WINDOW_MS = 1_000
/** How much of a mean the latest value makes up. */
const WEIGHT = 1 / 16
/** Below this part of values of a size that shrink, they are left alone. */
const FEW = 0.25
/** Of a size that is left alone, one in so many is tried all the same. */
const TRIED = 64

export interface Packed {
  readonly bytes: Uint8Array
  /** 0: none. */
  readonly dictionary: number
}

export interface PackingCounts {
  /** By which dictionary values are packed at present; undefined: by none. */
  readonly dictionary: number | undefined
  readonly level: number
  /** Bytes of the values that were packed or left alone, and what they became. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** What packing took, ms in all. */
  readonly tookMs: number
}

export class AdaptivePacker {
  readonly #compression: DictionaryCompression
  readonly #dictionaries: Dictionaries
  readonly #clock: Pick<Clock, 'monotonic'>
  /** By size in powers of two: which part of the values shrank of late. */
  readonly #shrinking = new Float64Array(32).fill(1)
  readonly #left = new Uint32Array(32)
  #dictionary = 0
  #step: number = FIRST_STEP
  #windowStartMs: number
  #windowTookMs = 0
  #bytesIn = 0
  #bytesOut = 0
  #tookMs = 0

  constructor(compression: DictionaryCompression, dictionaries: Dictionaries, clock: Pick<Clock, 'monotonic'>) {
    this.#compression = compression
    this.#dictionaries = dictionaries
    this.#clock = clock
    this.#windowStartMs = clock.monotonic()
  }

  /** @returns undefined when the bytes had better stay as they are */
  pack(bytes: Uint8Array): Packed | undefined {
    const dictionary = this.#dictionaries.current?.id ?? 0
    if (dictionary !== this.#dictionary) this.#startAnew(dictionary)
    const packed = this.#isWorthTrying(bytes.length) ? this.#tried(bytes) : undefined
    const length = packed?.bytes.length ?? bytes.length
    this.#bytesIn += bytes.length
    this.#bytesOut += length
    this.#dictionaries.packed(bytes, length)
    return packed
  }

  counts(): PackingCounts {
    return {
      dictionary: this.#dictionaries.current?.id,
      level: this.#level,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      tookMs: this.#tookMs,
    }
  }

  get #level(): number {
    return this.#compression.level ?? LEVELS[this.#step]!
  }

  #isWorthTrying(length: number): boolean {
    const { threshold } = this.#compression
    if (threshold !== undefined) return length >= threshold
    if (length < LEAST_BYTES) return false
    const size = sizeOf(length)
    return this.#shrinking[size]! >= FEW || this.#left[size]!++ % TRIED === 0
  }

  #tried(bytes: Uint8Array): Packed | undefined {
    const { current } = this.#dictionaries
    const startMs = this.#clock.monotonic()
    const byIt = current && this.#compression.compress(bytes, current.bytes, this.#level)
    const packed = byIt ?? (bytes.length >= LEAST_ALONE_BYTES ? this.#compression.compressAlone(bytes, this.#level) : undefined)
    const nowMs = this.#clock.monotonic()
    this.#spent(nowMs - startMs, nowMs)
    const size = sizeOf(bytes.length)
    this.#shrinking[size]! += ((packed === undefined ? 0 : 1) - this.#shrinking[size]!) * WEIGHT
    return packed && { bytes: packed, dictionary: byIt === undefined ? 0 : current!.id }
  }

  /** By another dictionary other values shrink. */
  #startAnew(dictionary: number): void {
    this.#dictionary = dictionary
    this.#shrinking.fill(1)
  }

  #spent(ms: number, nowMs: number): void {
    this.#tookMs += ms
    this.#windowTookMs += ms
    const elapsedMs = nowMs - this.#windowStartMs
    if (elapsedMs < WINDOW_MS) return
    const share = this.#windowTookMs / elapsedMs
    if (share > MOST_TIME && this.#step > 0) this.#step--
    else if (share < LITTLE_TIME && this.#step < LEVELS.length - 1) this.#step++
    this.#windowStartMs = nowMs
    this.#windowTookMs = 0
  }
}

/** In powers of two. */
function sizeOf(length: number): number {
  return 31 - Math.clz32(length)
}
