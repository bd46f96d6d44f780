/**
 * How many reads a memory node answers, in memory that is short: an application's reads of its database, each object a shop's product.
 *
 * The memory is what 30 % of all objects take as plain JSON, their keys with them and nothing else. The node lies in it with all that it takes:
 * envelopes, keys with their prefix, the dictionaries that the cache trains on its values as they come, and the node's own tables and gaps, which count
 * against `maxBytes` (tests hold that to what they take indeed). Reads go through a tier, a miss loads and fills; so what is measured is the very
 * thing that runs. Beside it the policies of `eviction/` are replayed.
 */
import { cacheAside, createTier, memoryNode, zstd } from 'ringtail'
import { seededRandom } from 'ringtail/testing'
import { lru } from '../eviction/lru.ts'
import { near } from '../eviction/near.ts'
import { type Policy, SIZE_ONE, type Sizes } from '../eviction/policy.ts'
import { s3Fifo } from '../eviction/s3-fifo.ts'
import { sieve } from '../eviction/sieve.ts'
import { windowTinyLfu } from '../eviction/window-tiny-lfu.ts'
import { catalogue } from '../harness/products.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { linesOf, recorded } from './recorded.ts'

const SHARE = 0.3
const LEAST_HITS = 96.5
const QUICK_READS = 6_000
const READS_A_TURN = 64
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
  gates: ['eviction/orm-busy'],
  measure,
}

async function measure({ quick }: StudyCall): Promise<Findings> {
  const replay = (quick ? undefined : recordedReplay()) ?? madeReplay(quick ? QUICK_READS : 1_000_000)
  const { keys, products, reads, isRecorded } = replay
  const plainBytes = (object: number): number => Buffer.byteLength(keys[object]!) + products[object % products.length]!.length
  const allBytes = keys.reduce((sum, _, object) => sum + plainBytes(object), 0)
  const maxBytes = Math.floor(allBytes * SHARE)
  const { hits, entries, usedBytes, packing } = await replayed(replay, maxBytes)
  const rate = (100 * hits) / reads.length
  const plain: Sizes = { of: plainBytes, mean: allBytes / keys.length }
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
      `  ${count(entries)} entries held at the end, ${(usedBytes / entries).toFixed(0)} bytes each in all: keys, envelopes, packed JSON, dictionaries, the node's tables and gaps`,
      `  ${packing}`,
      `  other policies, simulated: hits of plain JSON in as many bytes, with nothing else counted; and of as many entries as the node holds`,
      ...POLICIES.map((policy) => {
        const [bytes, same] = [rateOf(policy, replay, maxBytes, plain), rateOf(policy, replay, entries, SIZE_ONE)]
        return `    ${policy.name.padEnd(10)} ${bytes.toFixed(2)} %, ${same.toFixed(2)} %`
      }),
    ].join('\n'),
    doubts:
      isRecorded || quick ? [] : ['eviction: the recorded reads are not there, so made ones were replayed and the bar was not judged'],
  }
}

async function replayed({ keys, products, reads }: Replay, maxBytes: number) {
  const node = memoryNode({ id: 'memory', maxBytes })
  const tier = await createTier({ nodes: [node], replicas: 1 })
  try {
    const codec = { compression: zstd({ dictionary: true }) }
    const objects = tier.cache<unknown>('orm', { strategy: cacheAside(), ttl: '10h', codec })
    let misses = 0
    for (const [at, object] of reads.entries()) {
      await objects.getOrSet(keys[object]!, async () => {
        misses++
        return JSON.parse(products[object % products.length]!.toString())
      })
      // A dictionary is trained beside reads; nodes in memory answer at once, and would never let it.
      if (at % READS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const { packing } = objects.metrics()
    const told =
      packing === undefined
        ? 'nothing was packed'
        : `packed to ${((100 * packing.bytesOut) / packing.bytesIn).toFixed(0)} % at level ${packing.level}, ${packing.trained} dictionaries trained`
    return { ...(await node.stats()), hits: reads.length - misses, packing: told }
  } finally {
    await tier.close()
  }
}

/** Per cent. */
function rateOf(policy: Policy, { reads }: Replay, capacity: number, sizes: Sizes): number {
  const simulation = policy.create(capacity, sizes)
  let hits = 0
  for (const object of reads) if (simulation.access(object)) hits++
  return (100 * hits) / reads.length
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
