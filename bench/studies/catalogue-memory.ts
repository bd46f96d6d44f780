/**
 * How many products a megabyte of `maxmemory` holds.
 *
 * The products of a real catalogue are put into a server of each library's own, one after another and under another key each time round, until it has
 * long been evicting for each that comes; then it is counted what the server holds, of which memory. Ringtail packs them by a dictionary that it has trained
 * meanwhile. Beside that: how evenly entries lie on several nodes, and what packing costs.
 */
import { Redis } from 'ioredis-6'
import { cacheAside, createTier, redisNode, zstd } from 'ringtail'
import { startRedisServer } from 'ringtail/testing'
import type { Row } from '../harness/report.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { bentoCache } from '../peers/bentocache.ts'
import { type FlipkartProduct, flipkartProducts, NO_CATALOGUE } from './flipkart.ts'
import { evenness } from './node-balance.ts'
import { costOfPacking } from './packing-cost.ts'

const MAX_MEMORY = 24 * 2 ** 20
const QUICK_MAX_MEMORY = 4 * 2 ** 20
const TTL_MS = 24 * 3_600_000
const IN_FLIGHT = 64
/** As much as is held has been evicted before it is counted, so that what was put at first counts for little; a smoke run does not wait for it. */
const EVICTED_SHARE = 1
const QUICK_EVICTED_SHARE = 0.1
/** While `used_memory` is watched. */
const WATCHED_LOOKS = 20
const PUTS_A_LOOK = 512
const QUICK_PRODUCTS = 2_000
/** By what it is told what values take. */
const STRLEN_AT_ONCE = 1_000

const PRODUCTS_BAR = 2
/** % */
const USED_BAR = 95

export const catalogueMemory: Study = {
  name: 'catalogue-memory',
  title: 'products in a megabyte of maxmemory, entries on each node, and what packing costs',
  gates: ['products per MB/bentocache', 'used_memory', 'refused writes'].map((name) => `catalogue-memory/${name}`),
  measure,
}

/** What takes the products. */
interface Taker {
  set(key: string, product: FlipkartProduct): Promise<unknown>
  close(): Promise<unknown>
  /** What is worth a line. */
  told?(): string
}

interface Held {
  readonly products: number
  readonly maxMemory: number
  /** The least and most that was used of `maxmemory`, %, while one product came for each that went. */
  readonly usedShare: readonly [number, number]
  readonly refused: number
  /** Bytes of the values as they lie there. */
  readonly valueBytes: number
  readonly usedBytes: number
  readonly told: string
}

async function measure(call: StudyCall): Promise<Findings> {
  const balance = await evenness(call)
  const all = flipkartProducts()
  if (all === undefined) return { rows: balance.rows, text: `${balance.text}\n  products in a MB: ${NO_CATALOGUE}`, doubts: [] }
  const products = call.quick ? all.slice(0, QUICK_PRODUCTS) : all
  const maxMemory = call.quick ? QUICK_MAX_MEMORY : MAX_MEMORY
  const theirs = await filled(
    (url) =>
      bentoCache.open({
        urls: [url],
        ttlMs: TTL_MS,
        database: '',
        products: products.length,
        room: products.length,
      }) as unknown as Promise<Taker>,
    products,
    maxMemory,
  )
  call.say(`  bentocache: ${theirs.products} products held`)
  const ours = await filled(ringtail, products, maxMemory)
  call.say(`  ringtail: ${ours.products} products held`)
  const unpacked = await filled((url) => ringtail(url, false), products, maxMemory)
  const cost = await costOfPacking(products, call)
  const overMegabytes = ({ products, maxMemory }: Held): number => products / (maxMemory / 2 ** 20)
  const ratio = overMegabytes(ours) / overMegabytes(theirs)
  const row = (name: string, value: number, over: Partial<Row>): Row => ({
    name: `catalogue-memory/${name}`,
    value,
    bar: null,
    gated: false,
    ours: value,
    peer: null,
    unit: '',
    spread: [value, value],
    ...over,
  })
  const payload = ((ours.valueBytes - ours.products * ENVELOPE_BYTES) / ours.usedBytes) * 100
  const rows = [
    row('products per MB/bentocache', ratio, {
      bar: PRODUCTS_BAR,
      gated: true,
      ours: overMegabytes(ours),
      peer: overMegabytes(theirs),
      unit: 'products/MB',
    }),
    row('used_memory', ours.usedShare[0], { bar: USED_BAR, gated: true, unit: '% of maxmemory', spread: ours.usedShare }),
    row('refused writes', ours.refused, { bar: 0, most: true, gated: true, unit: 'writes' }),
    row('payload †', payload, { unit: '% of used_memory' }),
    ...balance.rows,
  ]
  const table = [
    ['bentocache', theirs],
    ['ringtail, unpacked', unpacked],
    ['ringtail', ours],
  ] as const
  const lines = table.map(([name, held]) => {
    const { products, usedBytes, valueBytes, usedShare, refused, told } = held
    const [least, most] = usedShare.map((share) => share.toFixed(1))
    return [
      `  ${name}: ${Math.round(overMegabytes(held))} products/MB, ${(usedBytes / products).toFixed(0)} bytes an entry, of them ${(valueBytes / products).toFixed(0)} its value;`,
      `used_memory ${least}–${most} % of maxmemory, values ${((valueBytes / usedBytes) * 100).toFixed(0)} % of it; ${refused} writes refused${told}`,
    ].join(' ')
  })
  const packed = `  ringtail: ${payload.toFixed(0)} % of used_memory are packed values, without envelopes`
  return { rows, text: [...lines, packed, balance.text, cost].join('\n'), doubts: [] }
}

/** Header, checksum, and the name of the dictionary. */
const ENVELOPE_BYTES = 38 + 4 + 7

async function ringtail(url: string, packs = true): Promise<Taker> {
  const tier = await createTier({ nodes: [redisNode(url)], replicas: 1 })
  const codec = packs ? { compression: zstd({ dictionary: true }) } : {}
  const cache = tier.cache<FlipkartProduct>('product', { strategy: cacheAside(), ttl: TTL_MS, codec })
  return {
    set: (key, product) => cache.set(key, product),
    close: () => tier.close(),
    told: () => {
      const { packing } = cache.metrics()
      return packing === undefined
        ? ''
        : `; packed to ${((packing.bytesOut / packing.bytesIn) * 100).toFixed(0)} % at level ${packing.level}, ${packing.trained} dictionaries trained`
    },
  }
}

async function filled(open: (url: string) => Promise<Taker>, products: readonly FlipkartProduct[], maxMemory: number): Promise<Held> {
  const server = await startRedisServer({ maxMemory })
  const admin = new Redis(server.url)
  try {
    const taker = await open(server.url)
    try {
      return await heldBy(taker, admin, products, maxMemory)
    } finally {
      await taker.close()
    }
  } finally {
    admin.disconnect()
    await server.stop()
  }
}

async function heldBy(taker: Taker, admin: Redis, products: readonly FlipkartProduct[], maxMemory: number): Promise<Held> {
  let next = 0
  let refused = 0
  const put = async (count: number): Promise<void> => {
    const until = next + count
    const putSome = async (): Promise<void> => {
      while (next < until) {
        const nth = next++
        const product = products[nth % products.length]!
        // The same length each time round, as keys of a catalogue have.
        const round = Math.floor(nth / products.length).toString(36)
        await taker.set(`${round}${product.uniq_id.slice(round.length)}`, product).catch(() => refused++)
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, putSome))
  }
  for (;;) {
    await put(PUTS_A_LOOK)
    const evicted = await figure(admin, 'stats', 'evicted_keys')
    if (evicted > (await admin.dbsize()) * (maxMemory === MAX_MEMORY ? EVICTED_SHARE : QUICK_EVICTED_SHARE)) break
  }
  const shares: number[] = []
  for (let look = 0; look < WATCHED_LOOKS; look++) {
    await put(PUTS_A_LOOK)
    shares.push(((await figure(admin, 'memory', 'used_memory')) / maxMemory) * 100)
  }
  const usedBytes = await figure(admin, 'memory', 'used_memory')
  const outOfMemory = await figure(admin, 'errorstats', 'errorstat_OOM')
  const lengths = await valueLengths(admin)
  return {
    products: lengths.length,
    maxMemory,
    usedShare: [Math.min(...shares), Math.max(...shares)],
    refused: refused + outOfMemory,
    valueBytes: lengths.reduce((sum, length) => sum + length, 0),
    usedBytes,
    told: taker.told?.() ?? '',
  }
}

/** Of all products that the server holds. */
async function valueLengths(admin: Redis): Promise<number[]> {
  const lengths: number[] = []
  let cursor = '0'
  do {
    const [next, keys] = await admin.scan(cursor, 'COUNT', STRLEN_AT_ONCE)
    cursor = next
    const pipeline = admin.pipeline()
    // What the fleet keeps beside entries is none of them.
    for (const key of new Set(keys)) if (!key.startsWith('rt:!')) pipeline.strlen(key)
    for (const [, length] of (await pipeline.exec()) ?? []) lengths.push(Number(length))
  } while (cursor !== '0')
  return lengths
}

/** Of INFO; 0 where it is not told. */
async function figure(admin: Redis, section: string, name: string): Promise<number> {
  return Number(new RegExp(`^${name}:(?:count=)?(\\d+)`, 'm').exec(await admin.info(section))?.[1] ?? 0)
}
