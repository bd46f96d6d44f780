/**
 * What is replayed: recorded reads where they are at hand, made ones otherwise.
 *
 * The recorded ones are not part of the project: an LRU-hostile trace of the LIRS paper, a shop's product pages and an e-commerce application's
 * reads of its database (the cache2k traces, headissue GmbH, CC BY 4.0), each a gzipped file of one key a line under a heading. Beside them
 * stand the hit rates published for them, per cent, which show whether a simulation is right.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { seededRandom } from 'ringtail/testing'

export interface Trace {
  readonly name: string
  /** Numbers for keys, in the order of the reads. */
  readonly keys: Int32Array
  readonly distinct: number
  readonly sizes: readonly number[]
  /** By size and policy, per cent. */
  readonly published: Readonly<Record<number, Readonly<Record<string, number>>>>
}

type Recorded = Pick<Trace, 'sizes' | 'published'>

const RECORDED: Readonly<Record<string, Recorded>> = {
  'reads-glimpse': {
    sizes: [500, 1_000, 2_000],
    published: {
      500: { LRU: 0.95, ARC: 1.38, 'W-TinyLFU': 33.08 },
      1000: { LRU: 11.21, ARC: 21.3, 'W-TinyLFU': 50.57 },
      2000: { LRU: 57.41, ARC: 57.41, 'W-TinyLFU': 57.96 },
    },
  },
  'reads-web12': {
    sizes: [1_376, 4_127, 16_384],
    published: { 16384: { LRU: 85.61, 'W-TinyLFU': 85.61 } },
  },
  'reads-orm-busy': {
    sizes: [4_096, 7_634, 22_904, 30_539, 76_349],
    published: {
      4096: { LRU: 84.56, 'W-TinyLFU': 84.62 },
      7634: { LRU: 88.01, SIEVE: 88.12 },
      22904: { LRU: 94.35, SIEVE: 94.66 },
      30539: { LRU: 95.78, SIEVE: 96.03 },
      76349: { LRU: 98.47 },
    },
  },
}

/** @param most reads of each trace at most @returns those of the recorded traces that are in the folder, in the order of the table */
export function recordedTraces(folder: string, most: number): Trace[] {
  return Object.entries(RECORDED).flatMap(([name, recorded]) => {
    const path = join(folder, `${name}.csv.gz`)
    if (!existsSync(path)) return []
    const [, ...lines] = gunzipSync(readFileSync(path)).toString('latin1').trimEnd().split('\n')
    return [{ name, ...numbered(lines.slice(0, most)), ...recorded }]
  })
}

/** Popularity by Zipf, as most caches see it; the same with a scan through it; and with a new working set from time to time. */
export function madeTraces(reads: number): Trace[] {
  const distinct = Math.max(100, Math.floor(reads / 10))
  const sizes = [Math.floor(distinct / 50), Math.floor(distinct / 10)]
  const made = (name: string, keyOf: (popular: number, at: number) => number): Trace => {
    const draw = zipf(distinct, 0.9, 1)
    const keys = Int32Array.from({ length: reads }, (_, at) => keyOf(draw(), at))
    return { name, keys, distinct: new Set(keys).size, sizes, published: {} }
  }
  const tenth = Math.floor(reads / 10)
  return [
    made('made-zipf', (popular) => popular),
    made('made-scans', (popular, at) => (at % 3 === 0 && Math.floor(at / tenth) % 2 === 1 ? distinct + at : popular)),
    made('made-shifts', (popular, at) => popular + Math.floor(at / (tenth * 2)) * distinct),
  ]
}

function numbered(lines: readonly string[]): Pick<Trace, 'keys' | 'distinct'> {
  const numbers = new Map<string, number>()
  const keys = new Int32Array(lines.length)
  for (const [at, line] of lines.entries()) {
    let number = numbers.get(line)
    if (number === undefined) {
      number = numbers.size
      numbers.set(line, number)
    }
    keys[at] = number
  }
  return { keys, distinct: numbers.size }
}

/** @returns draws of 0 to `count - 1`, the k-th in proportion to 1 / (k + 1) ^ exponent */
function zipf(count: number, exponent: number, seed: number): () => number {
  const random = seededRandom(seed)
  const upTo = new Float64Array(count)
  let sum = 0
  for (let at = 0; at < count; at++) {
    sum += 1 / (at + 1) ** exponent
    upTo[at] = sum
  }
  return () => {
    const drawn = random() * sum
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle]! < drawn) low = middle + 1
      else high = middle
    }
    return low
  }
}
