/**
 * Makes a dictionary out of a sample of values, or finds that none pays.
 *
 * What many values have in common is found as COVER finds it: every run of eight bytes counts by how many values hold it, and the sample is gone through in
 * as many parts as segments fit, each giving the segment that covers the most not covered yet. The best segments come last, where zstd names them
 * shortest. Tables for what values are then written with stand before them (`codec/zstd/`). A part of the sample is held out: by what that shrinks to, sizes are compared, and the dictionary with what there is.
 * Liao, Petri, Moffat and Wirth, Effective Construction of Relative Lempel-Ziv Dictionaries, 2016.
 *
 * It is a generator, so that whoever runs it decides how long the event loop is held at a time: it yields at least every millisecond or so.
 */
import type { DictionaryCompression } from '../codec/compression.ts'
import { type Dictionary, dictionaryOf } from '../codec/dictionary.ts'
import { DictionaryEncoder } from '../codec/zstd/dictionary-encoder.ts'
import { depthOf } from '../codec/zstd/packing.ts'
import { type CodeCounts, composeDictionary, LEAST_CONTENT_BYTES, noCounts, readDictionary } from '../codec/zstd/zstd-dictionary.ts'

export interface Training {
  readonly sample: readonly Uint8Array[]
  /** What values are packed by at present. */
  readonly current: Dictionary | undefined
  readonly packing: DictionaryCompression
}

/** Sizes that are tried, bytes. A larger one takes more of every node and process: it has to be `WORTH_DOUBLING` better. */
const SIZES = [16_384, 32_768, 65_536, 114_688] as const
const WORTH_DOUBLING = 0.97
/** The first has to pack to at most so much of what there is, and another to so much of what the one before does. */
const WORTH_IT = 0.9
const WORTH_ANOTHER = 0.95
/** Every so many-th value is held out. */
const HELD_OUT = 5
const MOST_HELD_OUT = 200
/** By so many values, how often each code comes. */
const MOST_COUNTED = 250
const USUAL_LEVEL = 3
const RUN_BYTES = 8
const SEGMENT_BYTES = 64
const TABLE_BITS = 18
/** Positions looked at between two yields. */
const STRIDE = 4_000

/** @returns undefined when no dictionary made of this sample pays */
export function* trainDictionary({ sample, current, packing }: Training): Generator<void, Dictionary | undefined> {
  const heldOut = sample.filter((_, at) => at % HELD_OUT === 0).slice(0, MOST_HELD_OUT)
  const training = sample.filter((_, at) => at % HELD_OUT !== 0)
  const text = Buffer.concat(training)
  if (text.length < RUN_BYTES) return undefined
  const runs = yield* countRuns(text, startsOf(training))
  let best: Dictionary | undefined
  let bestLength = yield* totalLength(heldOut, current, packing)
  let worth = current === undefined ? WORTH_IT : WORTH_ANOTHER
  for (const size of SIZES) {
    // A dictionary as large as what it was made of would have learnt it by heart.
    if (best !== undefined && size > text.length / 2) break
    const content = yield* selectSegments(text, runs, Math.min(size, text.length))
    if (content.length < LEAST_CONTENT_BYTES) break
    const dictionary = dictionaryOf(yield* withTables(content, training.slice(0, MOST_COUNTED)))
    const length = yield* totalLength(heldOut, dictionary, packing)
    if (length > bestLength * worth) continue
    best = dictionary
    bestLength = length
    worth = WORTH_DOUBLING
  }
  return best
}

/** Gives the bytes tables by what values packed by them are written with: first by a guess, then by what came of it. */
function* withTables(content: Uint8Array, values: readonly Uint8Array[]): Generator<void, Buffer> {
  const counts = noCounts()
  for (const each of Object.values(counts)) each.fill(1)
  for (const value of values) for (const byte of value) counts.literals[byte]!++
  const once = yield* countCodes(composeDictionary(content, counts), values)
  return composeDictionary(content, yield* countCodes(composeDictionary(content, once), values))
}

function* countCodes(dictionary: Uint8Array, values: readonly Uint8Array[]): Generator<void, CodeCounts> {
  const encoder = new DictionaryEncoder(readDictionary(dictionary)!)
  const counts = noCounts()
  for (const value of values) {
    encoder.count(value, depthOf(USUAL_LEVEL), counts)
    yield
  }
  return counts
}

function startsOf(values: readonly Uint8Array[]): Uint32Array {
  const starts = new Uint32Array(values.length)
  let at = 0
  for (const [nth, value] of values.entries()) {
    starts[nth] = at
    at += value.length
  }
  return starts
}

interface Runs {
  /** By position: which run begins there. */
  readonly at: Uint32Array
  /** By run: how many values hold it. */
  readonly values: Uint32Array
}

function* countRuns(text: Uint8Array, starts: Uint32Array): Generator<void, Runs> {
  const at = new Uint32Array(text.length - RUN_BYTES + 1)
  const values = new Uint32Array(1 << TABLE_BITS)
  const lastValue = new Uint32Array(1 << TABLE_BITS)
  let value = 0
  for (let position = 0; position < at.length; position++) {
    while (value < starts.length && starts[value]! <= position) value++
    const run = runAt(text, position)
    at[position] = run
    if (lastValue[run] !== value) {
      lastValue[run] = value
      values[run]!++
    }
    if (position % STRIDE === STRIDE - 1) yield
  }
  return { at, values }
}

/** A hash of the eight bytes there. Two that share one count as one, which costs a little of the choice and nothing else. */
function runAt(text: Uint8Array, at: number): number {
  const low = text[at]! | (text[at + 1]! << 8) | (text[at + 2]! << 16) | (text[at + 3]! << 24)
  const high = text[at + 4]! | (text[at + 5]! << 8) | (text[at + 6]! << 16) | (text[at + 7]! << 24)
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca77)
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> (32 - TABLE_BITS)
}

interface Segment {
  readonly start: number
  readonly end: number
  readonly score: number
}

/** @param size at most the length of the text */
function* selectSegments(text: Uint8Array, runs: Runs, size: number): Generator<void, Buffer> {
  const weights = runs.values.slice()
  for (let run = 0; run < weights.length; run++) if (weights[run] === 1) weights[run] = 0
  const parts = Math.max(1, Math.floor(size / SEGMENT_BYTES))
  const partLength = Math.max(SEGMENT_BYTES, Math.floor(runs.at.length / parts))
  const chosen: Segment[] = []
  let length = 0
  let looked = 0
  // Parts that hold nothing new leave room, for which the text is gone through again.
  for (let round = 0; round < 4 && length < size; round++) {
    for (let from = 0; from < runs.at.length && length < size; from += partLength) {
      const segment = bestSegment(runs, weights, from, Math.min(from + partLength, runs.at.length))
      looked += partLength
      if (segment.score > 0) {
        for (let position = segment.start; position < segment.end - RUN_BYTES + 1; position++) weights[runs.at[position]!] = 0
        chosen.push(segment)
        length += segment.end - segment.start
      }
      if (looked >= STRIDE) {
        looked = 0
        yield
      }
    }
  }
  chosen.sort((a, b) => a.score - b.score)
  const bytes = Buffer.concat(chosen.map(({ start, end }) => text.subarray(start, end)))
  return Buffer.from(bytes.subarray(Math.max(0, bytes.length - size)))
}

/** Of those that begin in [from, to). */
function bestSegment(runs: Runs, weights: Uint32Array, from: number, to: number): Segment {
  const span = SEGMENT_BYTES - RUN_BYTES + 1
  let best: Segment = { start: from, end: from, score: 0 }
  let score = 0
  for (let position = from; position < to; position++) {
    score += weights[runs.at[position]!]!
    if (position - from >= span) score -= weights[runs.at[position - span]!]!
    if (score > best.score) best = { start: Math.max(from, position - span + 1), end: position + RUN_BYTES, score }
  }
  return best
}

function* totalLength(
  values: readonly Uint8Array[],
  dictionary: Dictionary | undefined,
  { level = USUAL_LEVEL, compress, compressAlone }: DictionaryCompression,
): Generator<void, number> {
  let total = 0
  for (const value of values) {
    const byIt = dictionary && compress(value, dictionary.bytes, level)
    total += (byIt ?? compressAlone(value, level) ?? value).length
    yield
  }
  return total
}
