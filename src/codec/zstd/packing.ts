/**
 * Packing and unpacking by a dictionary in its bytes: what was read of it and indexed is kept for as long as the bytes are.
 */
import { decodeFrame } from './dictionary-decoder.ts'
import { DictionaryEncoder } from './dictionary-encoder.ts'
import { readDictionary, type ZstdDictionary } from './zstd-dictionary.ts'

interface Loaded {
  readonly dictionary: ZstdDictionary | undefined
  /** Made with the first value that is packed. */
  encoder: DictionaryEncoder | undefined
}

const loaded = new WeakMap<Uint8Array, Loaded>()

/** @returns undefined for what is left to zlib, and what does not shrink @param level 1 to 19 */
export function packBy(dictionary: Uint8Array, bytes: Uint8Array, level: number): Uint8Array | undefined {
  const known = loadedOf(dictionary)
  if (known.dictionary === undefined) return undefined
  known.encoder ??= new DictionaryEncoder(known.dictionary)
  return known.encoder.encode(bytes, depthOf(level))
}

/** @returns undefined for a frame that is left to zlib @throws anything, for one that is damaged */
export function unpackBy(dictionary: Uint8Array, frame: Uint8Array): Uint8Array | undefined {
  const known = loadedOf(dictionary)
  return known.dictionary === undefined ? undefined : decodeFrame(frame, known.dictionary)
}

/** How many places a match is looked for at. */
export function depthOf(level: number): number {
  return level < 3 ? 4 : level < 6 ? 8 : level < 9 ? 24 : 64
}

function loadedOf(dictionary: Uint8Array): Loaded {
  const known = loaded.get(dictionary)
  if (known !== undefined) return known
  const read: Loaded = { dictionary: readDictionary(dictionary), encoder: undefined }
  loaded.set(dictionary, read)
  return read
}
