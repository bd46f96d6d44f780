/**
 * How many reads a memory node answers, in memory that is short: an application's reads of its database, each object a shop's product.
 *
 * The memory is what 30 % of all objects take as plain JSON, their keys with them and nothing else. The node lies in it with all that it takes:
 * envelopes, keys with their prefix, the dictionary, and the node's own tables and gaps, which count against `maxBytes` (tests hold that to what they
 * take indeed). Reads go through a tier, a miss loads and fills; so what is measured is the very thing that runs. Hit rates are exact, and the
 * same on every machine. The policies of `eviction/` are replayed beside it, by bytes.
 */
import { constants as zstd, zstdCompressSync } from 'node:zlib'
import { type Cache, type CacheNode, cacheAside, createTier, memoryNode, rawBytes } from 'ringtail'
import { seededRandom } from 'ringtail/testing'
import { lru } from '../eviction/lru.ts'
import { near } from '../eviction/near.ts'
import type { Policy } from '../eviction/policy.ts'
import { s3Fifo } from '../eviction/s3-fifo.ts'
import { sieve } from '../eviction/sieve.ts'
import { windowTinyLfu } from '../eviction/window-tiny-lfu.ts'
import { catalogue } from '../harness/products.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { linesOf, recorded } from './recorded.ts'

const SHARE = 0.3
const LEAST_HITS = 96.5
const DICTIONARY_BYTES = 64 * 1024
/** The dictionary is made of some of the first objects: all that a cache has seen by the time it needs one. */
const SAMPLED = 5_000
const QUICK_READS = 6_000
const POLICIES: readonly Policy[] = [lru, sieve, s3Fifo, windowTinyLfu, near]

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
  const dictionary = dictionaryOf(products, quick ? 2_048 : DICTIONARY_BYTES)
  const packed = products.map((product) => packedWith(dictionary, product))
  const overhead = await overheadOf(replay, packed)
  const { hits, entries, usedBytes } = await replayed(replay, packed, maxBytes - dictionary.length)
  const rate = (100 * hits) / reads.length
  const plainOf = (object: number): number => Buffer.byteLength(keys[object]!) + products[object % products.length]!.length
  const ofNode = (object: number): number => Buffer.byteLength(keys[object]!) + packed[object % packed.length]!.length + overhead
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
      `  in ${count(maxBytes)} bytes a memory node answers ${rate.toFixed(2)} % of them`,
      `  ${count(entries)} objects held at the end, ${(usedBytes / entries).toFixed(0)} bytes each in all, of which ${meanOf(packed).toFixed(0)} are packed JSON (mean of all products)`,
      `  counted: keys, envelopes, a dictionary of ${count(dictionary.length)} bytes, and the node's tables and gaps`,
      `  other policies, simulated in as many bytes, hits of plain JSON with nothing else counted, and of entries as the node has them:`,
      ...POLICIES.map((policy) => {
        const [plain, own] = [rateOf(policy, replay, maxBytes, plainOf), rateOf(policy, replay, maxBytes - dictionary.length, ofNode)]
        return `    ${policy.name.padEnd(10)} ${plain.toFixed(2)} %, ${own.toFixed(2)} %`
      }),
    ].join('\n'),
    doubts:
      isRecorded || quick ? [] : ['eviction: the recorded reads are not there, so made ones were replayed and the bar was not judged'],
  }
}

async function replayed({ keys, reads }: Replay, packed: readonly Buffer[], maxBytes: number) {
  return onOneNode(maxBytes, async (objects, node) => {
    let misses = 0
    for (const object of reads) {
      await objects.getOrSet(keys[object]!, async () => {
        misses++
        return packed[object % packed.length]!
      })
    }
    return { hits: reads.length - misses, ...(await node.stats()) }
  })
}

/** What an object counts beside its own key and value, where there is room: mean of some. */
function overheadOf({ keys }: Replay, packed: readonly Buffer[]): Promise<number> {
  return onOneNode(2 ** 26, async (objects, node) => {
    const step = Math.ceil(keys.length / 1_000)
    let [some, ownBytes] = [0, 0]
    for (let object = 0; object < keys.length; object += step) {
      const [key, value] = [keys[object]!, packed[object % packed.length]!]
      await objects.set(key, value)
      some++
      ownBytes += Buffer.byteLength(key) + value.length
    }
    return ((await node.stats()).usedBytes - ownBytes) / some
  })
}

async function onOneNode<T>(maxBytes: number, work: (objects: Cache<Uint8Array>, node: CacheNode) => Promise<T>): Promise<T> {
  const node = memoryNode({ id: 'memory', maxBytes })
  const tier = await createTier({ nodes: [node], replicas: 1 })
  try {
    // The schema's number takes the place of the dictionary's in an entry: as many bytes.
    return await work(tier.cache('orm', { strategy: cacheAside(), ttl: '10h', codec: { serializer: rawBytes(), schema: 1 } }), node)
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

/** Per cent. */
function rateOf(policy: Policy, { keys, reads }: Replay, maxBytes: number, of: (object: number) => number): number {
  const mean = keys.reduce((sum, _, object) => sum + of(object), 0) / keys.length
  const simulation = policy.create(maxBytes, { of, mean })
  let hits = 0
  for (const object of reads) if (simulation.access(object)) hits++
  return (100 * hits) / reads.length
}

function meanOf(all: readonly Buffer[]): number {
  return all.reduce((sum, { length }) => sum + length, 0) / all.length
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
