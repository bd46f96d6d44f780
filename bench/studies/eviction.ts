/**
 * How many reads a memory node answers, in memory that is short: an application's reads of its database, each object a shop's product.
 *
 * The memory is what 30 % of all objects take as plain JSON, their keys with them and nothing else. The node lies in it with all that it takes:
 * envelopes, keys with their prefix, the dictionary, and the node's own tables and gaps, which count against `maxBytes` (tests hold that to what they
 * take indeed). Reads go through a tier, a miss loads and fills; so what is measured is the very thing that runs. Hit rates are exact, and the
 * same on every machine.
 */
import { constants as zstd, zstdCompressSync } from 'node:zlib'
import { cacheAside, createTier, memoryNode, rawBytes } from 'ringtail'
import { seededRandom } from 'ringtail/testing'
import { catalogue } from '../harness/products.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { linesOf, recorded } from './recorded.ts'

const SHARE = 0.3
const LEAST_HITS = 96.5
const DICTIONARY_BYTES = 64 * 1024
/** The dictionary is made of some of the first objects: all that a cache has seen by the time it needs one. */
const SAMPLED = 5_000
const QUICK_READS = 6_000

interface Replay {
  /** Of objects, in order of first appearance. */
  readonly keys: readonly string[]
  /** By product. Object i is product i modulo their number. */
  readonly products: readonly Buffer[]
  /** Objects, in the order of the reads. */
  readonly reads: Int32Array
  readonly isRecorded: boolean
}

export const eviction: Study = {
  name: 'eviction',
  title: 'hits of a memory node in the memory of 30 % of all objects as plain JSON',
  measure,
}

async function measure({ quick }: StudyCall): Promise<Findings> {
  const replay = (quick ? undefined : recordedReplay()) ?? madeReplay(quick ? QUICK_READS : 1_000_000)
  const { keys, products, reads, isRecorded } = replay
  const allBytes = keys.reduce((sum, key, object) => sum + Buffer.byteLength(key) + products[object % products.length]!.length, 0)
  const maxBytes = Math.floor(allBytes * SHARE)
  const plain = lruHits(replay, maxBytes)
  const dictionary = dictionaryOf(products, quick ? 2_048 : DICTIONARY_BYTES)
  const { hits, entries, usedBytes, packedBytes } = await replayed(replay, dictionary, maxBytes)
  const rate = (100 * hits) / reads.length
  return {
    rows: [
      {
        name: 'eviction/orm-busy',
        value: rate,
        bar: LEAST_HITS,
        gated: isRecorded,
        ours: rate,
        peer: null,
        unit: '% hits',
        spread: [rate, rate],
      },
    ],
    text: [
      `  ${isRecorded ? 'recorded' : 'made'} reads: ${count(reads.length)} of ${count(keys.length)} objects, ${count(allBytes)} bytes as plain JSON with keys`,
      `  in ${count(maxBytes)} bytes: plain JSON by LRU, nothing else counted, ${((100 * plain) / reads.length).toFixed(2)} % hits; Ringtail ${rate.toFixed(2)} %`,
      `  ${count(entries)} objects held at the end, ${(usedBytes / entries).toFixed(0)} bytes each in all, of which ${(packedBytes / products.length).toFixed(0)} are packed JSON (mean of all products)`,
      `  counted: keys, envelopes, a dictionary of ${count(dictionary.length)} bytes, and the node's tables and gaps`,
    ].join('\n'),
    doubts:
      isRecorded || quick ? [] : ['eviction: the recorded reads are not there, so made ones were replayed and the bar was not judged'],
  }
}

async function replayed({ keys, products, reads }: Replay, dictionary: Buffer, maxBytes: number) {
  const node = memoryNode({ id: 'memory', maxBytes: maxBytes - dictionary.length })
  const tier = await createTier({ nodes: [node], replicas: 1 })
  const packed = products.map((product) => packedWith(dictionary, product))
  try {
    // The schema's number takes the place of the dictionary's in an entry: as many bytes.
    const objects = tier.cache<Uint8Array>('orm', { strategy: cacheAside(), ttl: '10h', codec: { serializer: rawBytes(), schema: 1 } })
    let misses = 0
    for (const object of reads) {
      await objects.getOrSet(keys[object]!, async () => {
        misses++
        return packed[object % packed.length]!
      })
    }
    const { entries, usedBytes } = await node.stats()
    return { hits: reads.length - misses, entries, usedBytes, packedBytes: packed.reduce((sum, { length }) => sum + length, 0) }
  } finally {
    await tier.close()
  }
}

function packedWith(dictionary: Buffer, bytes: Buffer): Buffer {
  return zstdCompressSync(bytes, { dictionary, params: { [zstd.ZSTD_c_compressionLevel]: 3 } })
}

/** Whole objects, spread over the first, as many as fit. */
function dictionaryOf(products: readonly Buffer[], most: number): Buffer {
  const first = products.slice(0, SAMPLED)
  const mean = first.reduce((sum, { length }) => sum + length, 0) / first.length
  const step = Math.max(1, Math.floor((first.length * mean) / most))
  const sample = first.filter((_, at) => at % step === 0)
  return Buffer.concat(sample).subarray(0, most)
}

/** Hits of what most would do: JSON as it is, the least recently read goes. */
function lruHits({ keys, products, reads }: Replay, maxBytes: number): number {
  const held = new Set<number>()
  const sizeOf = (object: number): number => Buffer.byteLength(keys[object]!) + products[object % products.length]!.length
  let [bytes, hits] = [0, 0]
  for (const object of reads) {
    if (held.delete(object)) hits++
    else bytes += sizeOf(object)
    held.add(object)
    for (const oldest of held) {
      if (bytes <= maxBytes) break
      held.delete(oldest)
      bytes -= sizeOf(oldest)
    }
  }
  return hits
}

function recordedReplay(): Replay | undefined {
  const files = recorded('reads-orm-busy.csv.gz', 'catalogue-flipkart.ndjson.gz')
  if (files === undefined) return undefined
  const [reads, catalogueLines] = files.map(linesOf) as [string[], string[]]
  const objects = new Map<string, number>()
  const numbers = Int32Array.from(reads.slice(1), (key) => {
    const object = objects.get(key) ?? objects.size
    if (object === objects.size) objects.set(key, object)
    return object
  })
  const products = catalogueLines.map((line) => Buffer.from(JSON.stringify(JSON.parse(line))))
  return { keys: [...objects.keys()], products, reads: numbers, isRecorded: true }
}

/** Popularity by Zipf's law, roughly: the object at a random place of a random part of all. */
function madeReplay(count: number): Replay {
  const random = seededRandom(1)
  const objects = Math.ceil(count / 20)
  const { keys, products } = catalogue(objects)
  const reads = Int32Array.from({ length: count }, () => Math.floor(objects ** random()) - 1)
  return { keys, products: products.map((product) => Buffer.from(JSON.stringify(product))), reads, isRecorded: false }
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}
