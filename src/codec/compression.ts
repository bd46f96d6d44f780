/**
 * The contract of a compression, and the two there are.
 *
 * zstd comes with Node and packs JSON of some KiB to a fifth. Each call costs about 25 µs to pack and 15 µs to unpack however small the value,
 * which would double what a hit costs below 4 KiB: values smaller than that are left alone, and so are those that do not shrink. It is
 * synchronous: a MiB takes about 2 ms to pack and 0.7 ms to unpack where JSON takes 3 and 5, so a thread would buy little and cost every
 * value a promise. A bomb is stopped at `maxBytes` by zlib itself.
 *
 * With a dictionary of what a cache's values have in common (`dictionary.ts`), small ones shrink too, to a quarter: for caches whose memory is
 * dearer than the 10 µs that a hit then costs, and the 50 µs of a write. Node's zlib would load the dictionary into every call, which takes three
 * times as long, so that values of up to 8 KB are packed here (`zstd/`). How small and how thoroughly is found out as it goes (`adaptive-packer.ts`).
 */
import { ConfigurationError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { packBy, unpackBy } from './zstd/packing.ts'

export interface Compression {
  /** 0 to 15, the high nibble of an entry's codec byte. Ringtail's own: 0 none (never asked to compress), 1 zstd; 2 to 7 are kept for it. */
  readonly id: number
  readonly name: string
  /** @returns undefined when the bytes had better stay as they are */
  compress(bytes: Uint8Array): Uint8Array | undefined
  /**
   * Reads [start, end) of `bytes`. @throws anything, when they are not what `compress` makes or would grow beyond its limit
   * @param dictionary by which they were packed; only where `withDictionary` says so
   */
  decompress(bytes: Uint8Array, start: number, end: number, dictionary?: Uint8Array): Uint8Array
  /** Present where each cache is to have a dictionary trained on its own values. */
  readonly withDictionary?: DictionaryCompression | undefined
}

export interface DictionaryCompression {
  /** Bytes below which a value is left alone; undefined: as it turns out. */
  readonly threshold: number | undefined
  /** undefined: as it turns out. */
  readonly level: number | undefined
  /** @returns undefined when the bytes do not shrink by it, or are too many */
  compress(bytes: Uint8Array, dictionary: Uint8Array, level: number): Uint8Array | undefined
  /** Without one. @returns undefined when the bytes had better stay as they are */
  compressAlone(bytes: Uint8Array, level: number): Uint8Array | undefined
}

export interface ZstdOptions {
  /** Bytes below which a value is left alone. Default 4,096; with a dictionary what turns out to shrink. */
  readonly threshold?: number | undefined
  /** 1 (quickest) to 19 (smallest). Default 3; with a dictionary 1 to 9, by how much of the process's time it takes. */
  readonly level?: number | undefined
  /** Whether a dictionary is trained on the cache's own values and kept on the nodes, so that small values shrink too. Default false. */
  readonly dictionary?: boolean | undefined
  /** Bytes above which a value is neither compressed nor, on its way back, unpacked. Default 16 MiB. */
  readonly maxBytes?: number | undefined
}

/** What must be saved to be worth the unpacking on every read: an eighth. */
const LEAST_SAVING = 1 / 8

export function noCompression(): Compression {
  return {
    id: 0,
    name: 'none',
    compress: () => undefined,
    decompress: (bytes, start, end) => bytes.subarray(start, end),
  }
}

/** @throws ConfigurationError for an option out of its range */
export function zstd(options: ZstdOptions = {}): Compression {
  knownOptions(options, 'zstd', ['threshold', 'level', 'maxBytes', 'dictionary'])
  const maxBytes = wholeNumber(options.maxBytes ?? 16 * 2 ** 20, 'zstd: maxBytes', 1, 2 ** 30)
  const threshold = wholeNumber(options.threshold ?? 4096, 'zstd: threshold', 0)
  const level = wholeNumber(options.level ?? 3, 'zstd: level', 1, 19)
  const { dictionary = false } = options
  if (typeof dictionary !== 'boolean') throw ConfigurationError.of('zstd: dictionary', 'true or false', dictionary)
  return {
    id: 1,
    name: 'zstd',
    compress: (bytes) => (bytes.length < threshold || bytes.length > maxBytes ? undefined : shrunk(bytes, level)),
    decompress(bytes, start, end, dictionary) {
      const frame = bytes.subarray(start, end)
      const unpacked = dictionary && unpackBy(dictionary, frame)
      if (unpacked !== undefined) return unpacked
      const declared = contentSize(frame)
      const limit = { maxOutputLength: maxBytes }
      const content = zlib().zstdDecompressSync(frame, dictionary === undefined ? limit : { ...limit, dictionary })
      // Node without its change #64593 (22.18, say) takes a frame that is cut short for a whole one, and returns what there is.
      if (content.length !== declared) throw new Error(`zstd: needs a frame of ${declared} bytes, but got: ${content.length} bytes`)
      return content
    },
    withDictionary: dictionary
      ? {
          threshold: options.threshold,
          level: options.level,
          compress: (bytes, dictionary, level) => worthwhile(bytes, packBy(dictionary, bytes, level)),
          compressAlone: (bytes, level) => (bytes.length > maxBytes ? undefined : shrunk(bytes, level)),
        }
      : undefined,
  }
}

function shrunk(bytes: Uint8Array, level: number): Uint8Array | undefined {
  const { constants, zstdCompressSync } = zlib()
  return worthwhile(bytes, zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level } }))
}

/** @returns undefined where that saves too little */
function worthwhile(bytes: Uint8Array, compressed: Uint8Array | undefined): Uint8Array | undefined {
  return compressed !== undefined && compressed.length <= bytes.length * (1 - LEAST_SAVING) ? compressed : undefined
}

/**
 * The size of what was packed, which a frame begins with when it is made in one go (RFC 8878, 3.1.1: magic, descriptor, window, dictionary
 * id, content size). undefined where there is none, and then no content is of that size.
 */
function contentSize(frame: Uint8Array): number | undefined {
  const descriptor = frame[4] ?? 0
  const isSingleSegment = (descriptor & 0x20) !== 0
  const at = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  if (sizeBytes === 0 || frame.length < at + sizeBytes) return undefined
  let size = 0
  for (let byte = sizeBytes - 1; byte >= 0; byte--) size = size * 256 + frame[at + byte]!
  return sizeBytes === 2 ? size + 256 : size
}

/** Loaded with the first value that is large enough, so that importing the library is quick. */
const zlib = (): typeof import('node:zlib') => process.getBuiltinModule('node:zlib')
