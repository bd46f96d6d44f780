/**
 * Packs small values by a dictionary that stays loaded.
 *
 * Node's zlib loads a dictionary into each call anew, which takes ten times as long as packing a small value by it. Here it is indexed once. What
 * comes out is an ordinary zstd frame (RFC 8878) of one block, which any zstd unpacks that has the dictionary. The ways to write a value
 * are compared by what they cost in bits by the dictionary's tables, to the end, as zstd's own highest levels do; the level says how far matches
 * are searched for.
 */
import { BitWriter } from './bits.ts'
import { firstState, highBit, putSymbol } from './fse.ts'
import { CODED_BYTES } from './huffman.ts'
import { LITERAL_LENGTHS, literalCode, MATCH_LENGTHS, MAX_CODED_BYTES, matchCode, SHORTEST_MATCH } from './sequence-codes.ts'
import { type CodeCounts, FIRST_OFFSETS, type ZstdDictionary } from './zstd-dictionary.ts'

/** A value is taken as far as a match of this length without comparing other ways. */
const LONG_MATCH = 24
const HASH_BITS = 15
const HASHED_BYTES = 4
/** Most literals that fit one stream. */
const MOST_CODED_LITERALS = 1_023
const MOST_RAW_LITERALS = 4_095

/** Of the ways to each position the cheapest. */
interface Ways {
  readonly bits: Float32Array
  /** Length of the match that ends here, and its offset; 0: a literal. */
  readonly lengths: Uint16Array
  readonly offsets: Int32Array
  /** Literals since the last match. */
  readonly runs: Uint16Array
  /** The last three offsets. */
  readonly recent: readonly [Int32Array, Int32Array, Int32Array]
}

/** One match and the literals before it. */
interface Sequence {
  readonly run: number
  readonly length: number
  /** As it is coded: 1 to 3 name a recent offset. */
  readonly offset: number
}

export class DictionaryEncoder {
  readonly #dictionary: ZstdDictionary
  /** The dictionary's content, then the value. */
  readonly #bytes: Uint8Array
  readonly #start: number
  /** By hash: the last place, and by place the one before it. −1: none. */
  readonly #heads: Int32Array
  readonly #before: Int32Array
  /** Places of the value that were added to them. */
  readonly #added = new Int32Array(MAX_CODED_BYTES)
  #addedCount = 0
  readonly #ways: Ways
  readonly #out = new BitWriter(2 * MAX_CODED_BYTES + 256)

  constructor(dictionary: ZstdDictionary) {
    const { content } = dictionary
    this.#dictionary = dictionary
    this.#start = content.length
    this.#bytes = new Uint8Array(content.length + MAX_CODED_BYTES)
    this.#bytes.set(content)
    this.#heads = new Int32Array(1 << HASH_BITS).fill(-1)
    this.#before = new Int32Array(this.#bytes.length).fill(-1)
    for (let at = 0; at + HASHED_BYTES <= content.length; at++) this.#add(at)
    const int32 = (): Int32Array => new Int32Array(MAX_CODED_BYTES + 1)
    this.#ways = {
      bits: new Float32Array(MAX_CODED_BYTES + 1),
      lengths: new Uint16Array(MAX_CODED_BYTES + 1),
      offsets: int32(),
      runs: new Uint16Array(MAX_CODED_BYTES + 1),
      recent: [int32(), int32(), int32()],
    }
  }

  /** @param depth how many places are looked at for a match @returns undefined for what is left to zlib, and what does not shrink */
  encode(value: Uint8Array, depth: number): Uint8Array | undefined {
    if (value.length > MAX_CODED_BYTES || value.length === 0) return undefined
    return this.#write(value, this.#sequences(value, depth))
  }

  /** Counts what a value would be written with, for tables. */
  count(value: Uint8Array, depth: number, counts: CodeCounts): void {
    if (value.length > MAX_CODED_BYTES) return
    let at = 0
    for (const { run, length, offset } of this.#sequences(value, depth)) {
      for (const end = at + run; at < end; at++) counts.literals[value[at]!]!++
      counts.literalLengths[literalCode(run)]!++
      counts.matchLengths[matchCode(length)]!++
      counts.offsets[highBit(offset)]!++
      at += length
    }
    for (; at < value.length; at++) counts.literals[value[at]!]!++
  }

  #sequences(value: Uint8Array, depth: number): Sequence[] {
    this.#bytes.set(value, this.#start)
    const end = value.length
    const { bits } = this.#ways
    bits.fill(Number.POSITIVE_INFINITY, 0, end + 1)
    bits[0] = 0
    this.#addedCount = 0
    for (let at = 0; at < end; at++) {
      this.#arrive(at)
      this.#tryLiteral(at)
      // Whatever is longer than this is taken, so that what repeats for long is not compared byte by byte.
      const long = this.#tryMatches(at, end, depth)
      if (at + HASHED_BYTES <= end) {
        this.#add(this.#start + at)
        this.#added[this.#addedCount++] = this.#start + at
      }
      if (long > 0) {
        for (let skipped = at + 1; skipped < at + long; skipped++) bits[skipped] = Number.POSITIVE_INFINITY
        at += long - 1
      }
    }
    this.#arrive(end)
    for (let nth = this.#addedCount - 1; nth >= 0; nth--) this.#remove(this.#added[nth]!)
    return this.#chosen(end)
  }

  /** The way to here is decided: what follows from it for the next steps. */
  #arrive(at: number): void {
    const { lengths, offsets, runs, recent } = this.#ways
    const [first, second, third] = recent
    if (at === 0) {
      runs[0] = 0
      first[0] = FIRST_OFFSETS[0]
      second[0] = FIRST_OFFSETS[1]
      third[0] = FIRST_OFFSETS[2]
      return
    }
    const length = lengths[at]!
    const from = at - (length === 0 ? 1 : length)
    const a = first[from]!
    const b = second[from]!
    const c = third[from]!
    if (length === 0) {
      runs[at] = runs[from]! + 1
      first[at] = a
      second[at] = b
      third[at] = c
      return
    }
    const offset = offsets[at]!
    const coded = this.#coded(from, offset)
    // Which of the recent ones it was; 4: none of them.
    const nth = coded > 3 ? 4 : runs[from] === 0 ? coded + 1 : coded
    runs[at] = 0
    first[at] = offset
    second[at] = nth === 1 ? b : a
    third[at] = nth <= 2 ? c : b
  }

  #tryLiteral(at: number): void {
    const { bits, lengths } = this.#ways
    const byte = this.#bytes[this.#start + at]!
    const cost = bits[at]! + (byte < CODED_BYTES ? this.#dictionary.literals.lengths[byte]! : 8)
    if (cost >= bits[at + 1]!) return
    bits[at + 1] = cost
    lengths[at + 1] = 0
  }

  /** @returns the length of a match that is taken at once, or 0 */
  #tryMatches(at: number, end: number, depth: number): number {
    const bytes = this.#bytes
    const { recent, runs } = this.#ways
    const place = this.#start + at
    const most = end - at
    if (most < SHORTEST_MATCH) return 0
    const run = runs[at]!
    const runCode = literalCode(run)
    const runBits = this.#dictionary.literalLengths.prices[runCode]! + LITERAL_LENGTHS.bits[runCode]!
    let longest = SHORTEST_MATCH - 1
    for (let nth = 0; nth < 3; nth++) {
      const offset = recent[nth]![at]!
      if (offset > place) continue
      const length = commonLength(bytes, place - offset, place, most)
      if (length < SHORTEST_MATCH) continue
      this.#tryMatch(at, length, offset, runBits, SHORTEST_MATCH)
      if (length > longest) longest = length
      if (length >= LONG_MATCH) return length
    }
    if (most < HASHED_BYTES) return 0
    let looked = 0
    for (let before = this.#heads[hashAt(bytes, place)]!; before >= 0 && looked < depth; before = this.#before[before]!, looked++) {
      if (longest < most && bytes[before + longest] !== bytes[place + longest]) continue
      const length = commonLength(bytes, before, place, most)
      if (length <= longest) continue
      this.#tryMatch(at, length, place - before, runBits, longest + 1)
      longest = length
      if (length === most || length >= LONG_MATCH) break
    }
    return longest >= LONG_MATCH ? longest : 0
  }

  /** Of all lengths from `least` on. */
  #tryMatch(at: number, length: number, offset: number, runBits: number, least: number): void {
    const { bits, lengths, offsets } = this.#ways
    const { matchLengths, offsets: table } = this.#dictionary
    const code = highBit(this.#coded(at, offset))
    const fixed = bits[at]! + runBits + table.prices[code]! + code
    for (let shorter = length >= LONG_MATCH ? length : Math.max(least, SHORTEST_MATCH); shorter <= length; shorter++) {
      const lengthCode = matchCode(shorter)
      const cost = fixed + matchLengths.prices[lengthCode]! + MATCH_LENGTHS.bits[lengthCode]!
      if (cost >= bits[at + shorter]!) continue
      bits[at + shorter] = cost
      lengths[at + shorter] = shorter
      offsets[at + shorter] = offset
    }
  }

  /** An offset as it is coded at a place: by how long ago it came last, or itself. */
  #coded(at: number, offset: number): number {
    const { recent, runs } = this.#ways
    const a = recent[0][at]!
    const b = recent[1][at]!
    const c = recent[2][at]!
    if (runs[at]! > 0) return offset === a ? 1 : offset === b ? 2 : offset === c ? 3 : offset + 3
    // Without a literal between them the same offset once more would be the same match.
    return offset === b ? 1 : offset === c ? 2 : offset === a - 1 ? 3 : offset + 3
  }

  #chosen(end: number): Sequence[] {
    const { lengths, offsets, runs } = this.#ways
    const sequences: Sequence[] = []
    for (let at = end; at > 0; ) {
      const length = lengths[at]!
      if (length === 0) {
        at--
        continue
      }
      const from = at - length
      sequences.push({ run: runs[from]!, length, offset: this.#coded(from, offsets[at]!) })
      at = from
    }
    return sequences.reverse()
  }

  #write(value: Uint8Array, sequences: readonly Sequence[]): Uint8Array | undefined {
    const literals = literalsOf(value, sequences)
    const out = this.#out
    out.reset()
    if (!this.#writeLiterals(literals)) return undefined
    this.#writeSequences(sequences)
    const block = out.length
    const isShort = value.length < 256
    const header = isShort ? 9 : 10
    if (header + block >= value.length) return undefined
    const frame = Buffer.allocUnsafe(header + block)
    frame.writeUInt32LE(0xfd2fb528, 0)
    frame[4] = isShort ? 0x20 : 0x60
    if (isShort) frame[5] = value.length
    else frame.writeUInt16LE(value.length - 256, 5)
    // The last block, and a compressed one.
    frame.writeUIntLE(1 | (2 << 1) | (block << 3), header - 3, 3)
    frame.set(out.bytes.subarray(0, block), header)
    return frame
  }

  #writeLiterals(literals: Uint8Array): boolean {
    const out = this.#out
    const { lengths, codes } = this.#dictionary.literals
    let bits = 1
    for (const byte of literals) bits += byte < CODED_BYTES ? lengths[byte]! : Number.POSITIVE_INFINITY
    const coded = Math.ceil(bits / 8)
    if (literals.length > 5 && literals.length <= MOST_CODED_LITERALS && coded + 1 < literals.length) {
      out.put(3 | ((literals.length & 0xf) << 4), 8)
      out.put((literals.length >> 4) | ((coded & 3) << 6), 8)
      out.put(coded >> 2, 8)
      for (let at = literals.length - 1; at >= 0; at--) out.put(codes[literals[at]!]!, lengths[literals[at]!]!)
      out.closeBackward()
      return true
    }
    if (literals.length > MOST_RAW_LITERALS) return false
    if (literals.length < 32) out.put(literals.length << 3, 8)
    else out.put(4 | (literals.length << 4), 16)
    for (const byte of literals) out.put(byte, 8)
    return true
  }

  #writeSequences(sequences: readonly Sequence[]): void {
    const out = this.#out
    const { offsets, matchLengths, literalLengths } = this.#dictionary
    const count = sequences.length
    if (count >= 128) out.put((count >> 8) + 128, 8)
    out.put(count & 0xff, 8)
    if (count === 0) return
    // All three tables are the dictionary's.
    out.put(0b11_11_11_00, 8)
    let offsetState = 0
    let matchState = 0
    let runState = 0
    for (let nth = count - 1; nth >= 0; nth--) {
      const { run, length, offset } = sequences[nth]!
      const runCode = literalCode(run)
      const lengthCode = matchCode(length)
      const offsetCode = highBit(offset)
      if (nth === count - 1) {
        matchState = firstState(matchLengths, lengthCode)
        offsetState = firstState(offsets, offsetCode)
        runState = firstState(literalLengths, runCode)
      } else {
        offsetState = putSymbol(out, offsets, offsetState, offsetCode)
        matchState = putSymbol(out, matchLengths, matchState, lengthCode)
        runState = putSymbol(out, literalLengths, runState, runCode)
      }
      out.put(run - LITERAL_LENGTHS.starts[runCode]!, LITERAL_LENGTHS.bits[runCode]!)
      out.put(length - MATCH_LENGTHS.starts[lengthCode]!, MATCH_LENGTHS.bits[lengthCode]!)
      out.put(offset, offsetCode)
    }
    out.put(matchState, matchLengths.log)
    out.put(offsetState, offsets.log)
    out.put(runState, literalLengths.log)
    out.closeBackward()
  }

  #add(place: number): void {
    const hash = hashAt(this.#bytes, place)
    this.#before[place] = this.#heads[hash]!
    this.#heads[hash] = place
  }

  /** In the opposite order. */
  #remove(place: number): void {
    this.#heads[hashAt(this.#bytes, place)] = this.#before[place]!
  }
}

function literalsOf(value: Uint8Array, sequences: readonly Sequence[]): Uint8Array {
  const literals = new Uint8Array(value.length)
  let count = 0
  let at = 0
  for (const { run, length } of sequences) {
    for (const end = at + run; at < end; at++) literals[count++] = value[at]!
    at += length
  }
  for (; at < value.length; at++) literals[count++] = value[at]!
  return literals.subarray(0, count)
}

function commonLength(bytes: Uint8Array, a: number, b: number, most: number): number {
  let length = 0
  while (length < most && bytes[a + length] === bytes[b + length]) length++
  return length
}

function hashAt(bytes: Uint8Array, at: number): number {
  const four = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  return Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS)
}
