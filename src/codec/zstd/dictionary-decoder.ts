/**
 * Unpacks small frames by a dictionary that stays loaded.
 *
 * It reads what `dictionary-encoder.ts` writes: one block, the dictionary's tables. Any other frame is left to zlib. Nothing that it reads can make it
 * look or write outside of its buffers: lengths and offsets are checked before they are followed.
 */
import { BackwardReader } from './bits.ts'
import { LITERAL_LENGTHS, MATCH_LENGTHS, MAX_CODED_BYTES } from './sequence-codes.ts'
import { FIRST_OFFSETS, type ZstdDictionary } from './zstd-dictionary.ts'

const LEAST_FRAME_BYTES = 11

interface Literals {
  readonly bytes: Uint8Array
  readonly start: number
  readonly count: number
  /** Where the sequences begin. */
  readonly end: number
}

/** @returns undefined for a frame that is left to zlib @throws anything, for one that is damaged */
export function decodeFrame(frame: Uint8Array, dictionary: ZstdDictionary): Uint8Array | undefined {
  if (frame.length < LEAST_FRAME_BYTES || uint24(frame, 0) !== 0x2fb528 || frame[3] !== 0xfd) return undefined
  const isShort = frame[4] === 0x20
  if (!isShort && frame[4] !== 0x60) return undefined
  const size = isShort ? frame[5]! : 256 + frame[5]! + frame[6]! * 256
  const start = isShort ? 9 : 10
  const block = uint24(frame, start - 3)
  if ((block & 7) !== 5 || size > MAX_CODED_BYTES || start + (block >> 3) !== frame.length) return undefined
  const literals = literalsOf(frame, start, dictionary)
  if (literals === undefined) return undefined
  return sequencesOf(frame, literals, dictionary, size)
}

function literalsOf(frame: Uint8Array, start: number, { literals: table }: ZstdDictionary): Literals | undefined {
  const type = frame[start]! & 3
  const format = (frame[start]! >> 2) & 3
  if (type === 0 && format !== 3) {
    const count = format === 1 ? (frame[start]! >> 4) | (frame[start + 1]! << 4) : frame[start]! >> 3
    const from = start + (format === 1 ? 2 : 1)
    return from + count < frame.length ? { bytes: frame, start: from, count, end: from + count } : undefined
  }
  if (type !== 3 || format !== 0) return undefined
  const count = (frame[start]! >> 4) | ((frame[start + 1]! & 0x3f) << 4)
  const end = start + 3 + ((frame[start + 1]! >> 6) | (frame[start + 2]! << 2))
  if (end >= frame.length) return undefined
  const reader = new BackwardReader(frame, start + 3, end)
  const bytes = new Uint8Array(count)
  const { log } = table
  for (let at = 0; at < count; at++) {
    const next = reader.peek(log)
    bytes[at] = table.bytes[next]!
    reader.left -= table.counts[next]!
  }
  return whole(reader, { bytes, start: 0, count, end })
}

function sequencesOf(frame: Uint8Array, literals: Literals, dictionary: ZstdDictionary, size: number): Uint8Array | undefined {
  let at = literals.end
  let count = frame[at++]!
  if (count >= 128) count = count === 255 ? -1 : ((count - 128) << 8) | frame[at++]!
  if (count < 0 || (count > 0 && frame[at++] !== 0b11_11_11_00)) return undefined
  const out = new Output(dictionary.content, literals, size)
  if (count > 0) readSequences(new BackwardReader(frame, at, frame.length), count, dictionary, out)
  else if (at !== frame.length) damaged()
  return out.finished()
}

function readSequences(reader: BackwardReader, count: number, dictionary: ZstdDictionary, out: Output): void {
  const { offsets, matchLengths, literalLengths } = dictionary
  let runState = reader.read(literalLengths.log)
  let offsetState = reader.read(offsets.log)
  let matchState = reader.read(matchLengths.log)
  let [first, second, third] = FIRST_OFFSETS as readonly number[] as [number, number, number]
  for (let left = count; left > 0; left--) {
    const offsetCode = offsets.symbols[offsetState]!
    const lengthCode = matchLengths.symbols[matchState]!
    const runCode = literalLengths.symbols[runState]!
    const coded = (1 << offsetCode) + reader.read(offsetCode)
    const length = MATCH_LENGTHS.starts[lengthCode]! + reader.read(MATCH_LENGTHS.bits[lengthCode]!)
    const run = LITERAL_LENGTHS.starts[runCode]! + reader.read(LITERAL_LENGTHS.bits[runCode]!)
    if (left > 1) {
      runState = literalLengths.nextStates[runState]! + reader.read(literalLengths.bitCounts[runState]!)
      matchState = matchLengths.nextStates[matchState]! + reader.read(matchLengths.bitCounts[matchState]!)
      offsetState = offsets.nextStates[offsetState]! + reader.read(offsets.bitCounts[offsetState]!)
    }
    let offset = coded - 3
    if (coded <= 3) {
      const nth = run === 0 ? coded + 1 : coded
      offset = nth === 1 ? first : nth === 2 ? second : nth === 3 ? third : first - 1
      if (nth > 2) third = second
      if (nth > 1) second = first
      first = offset
    } else {
      third = second
      second = first
      first = offset
    }
    out.put(run, length, offset)
  }
  if (reader.left !== 0) damaged()
}

class Output {
  readonly #content: Uint8Array
  readonly #literals: Literals
  readonly #bytes: Uint8Array
  #at = 0
  #used = 0

  constructor(content: Uint8Array, literals: Literals, size: number) {
    this.#content = content
    this.#literals = literals
    this.#bytes = Buffer.allocUnsafe(size)
  }

  put(run: number, length: number, offset: number): void {
    this.#copyLiterals(run)
    const out = this.#bytes
    const from = this.#at - offset
    if (this.#at + length > out.length || offset < 1 || from + this.#content.length < 0) damaged()
    let next = 0
    // What the match has of the dictionary, then of what was written already, itself too.
    for (const content = this.#content, start = from + content.length; next < length && from + next < 0; next++)
      out[this.#at + next] = content[start + next]!
    for (; next < length; next++) out[this.#at + next] = out[from + next]!
    this.#at += length
  }

  finished(): Uint8Array {
    this.#copyLiterals(this.#literals.count - this.#used)
    if (this.#at !== this.#bytes.length) damaged()
    return this.#bytes
  }

  #copyLiterals(count: number): void {
    const { bytes, start, count: all } = this.#literals
    if (this.#used + count > all || this.#at + count > this.#bytes.length) damaged()
    const from = start + this.#used
    for (let nth = 0; nth < count; nth++) this.#bytes[this.#at + nth] = bytes[from + nth]!
    this.#at += count
    this.#used += count
  }
}

/** Whether just all bits were read. */
function whole<T>(reader: BackwardReader, read: T): T {
  return reader.left === 0 ? read : damaged()
}

function damaged(): never {
  throw new Error('zstd: needs a whole frame, but got a damaged one')
}

function uint24(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16)
}
