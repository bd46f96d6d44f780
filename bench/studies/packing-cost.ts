/**
 * What packing costs: writes and hits on a memory node, where hardly anything else takes time, without compression and with.
 */
import { cacheAside, createTier, memoryNode, noCompression, zstd } from 'ringtail'
import type { StudyCall } from '../harness/study.ts'
import type { FlipkartProduct } from './flipkart.ts'

const TTL_MS = 3_600_000
const ROOM = 256 * 2 ** 20
/** Written before it is measured, so that a dictionary is in use. */
const FIRST = 4_000
const MEASURED = 8_000
const PASSES = 3

/** @returns lines of figures */
export async function costOfPacking(products: readonly FlipkartProduct[], { quick }: StudyCall): Promise<string> {
  const measured = products.slice(0, quick ? 200 : MEASURED)
  const lines: string[] = []
  for (const [name, compression] of [
    ['without compression', noCompression()],
    ['zstd, each value alone', zstd({ threshold: 0 })],
    ['zstd, by a dictionary', zstd({ dictionary: true })],
  ] as const) {
    const tier = await createTier({ nodes: [memoryNode({ id: 'node', maxBytes: ROOM })], replicas: 1 })
    const cache = tier.cache<FlipkartProduct>('product', { strategy: cacheAside(), ttl: TTL_MS, codec: { compression } })
    for (const product of products.slice(0, quick ? 0 : FIRST)) await cache.set(product.uniq_id, product)
    await new Promise((resolve) => setTimeout(resolve, quick ? 0 : 1_000))
    const before = cache.metrics().packing
    const writeUs = await timed(measured, (product) => cache.set(product.uniq_id, product))
    const hitUs = await timed(measured, (product) => cache.get(product.uniq_id))
    const after = cache.metrics().packing
    const packed =
      before === undefined || after === undefined || after.bytesIn === before.bytesIn
        ? ''
        : `, packed to ${percent(after.bytesOut - before.bytesOut, after.bytesIn - before.bytesIn)} % in ${(((after.tookMs - before.tookMs) * 1_000) / measured.length / PASSES).toFixed(1)} µs at level ${after.level}`
    lines.push(`  ${name}: ${writeUs.toFixed(1)} µs a write, ${hitUs.toFixed(1)} µs a hit (${Math.round(1e6 / hitUs)} hits/s)${packed}`)
    await tier.close()
  }
  return lines.join('\n')
}

function percent(part: number, whole: number): string {
  return ((part / whole) * 100).toFixed(0)
}

/** Of all passes the quickest, µs a call. */
async function timed(products: readonly FlipkartProduct[], call: (product: FlipkartProduct) => Promise<unknown>): Promise<number> {
  let quickest = Number.POSITIVE_INFINITY
  for (let pass = 0; pass < PASSES; pass++) {
    const startMs = performance.now()
    for (const product of products) await call(product)
    quickest = Math.min(quickest, performance.now() - startMs)
  }
  return (quickest * 1_000) / products.length
}
