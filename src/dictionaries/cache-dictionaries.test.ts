import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MadeProduct, madeProducts } from '../../tests/support/made-products.ts'
import { type CacheCodec, cacheCodec } from '../cache-codec.ts'
import { zstd } from '../codec/compression.ts'
import type { TierEvents } from '../events.ts'
import { Outcomes } from '../metrics/outcomes.ts'
import { memoryNode } from '../node/memory-node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../testing/flaky-node.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { KEPT_MS } from './dictionary-index.ts'

const DAY_MS = 86_400_000
const FIELDS = { version: 1n, freshUntilMs: 2_000_000_000_000, graceMs: 0, begun: 1 }

interface Process extends CacheCodec<MadeProduct> {
  readonly outcomes: Outcomes
  readonly told: [string, unknown][]
  put(product: MadeProduct): Uint8Array
  /** Writes these, and lets what follows from it settle. */
  fill(products: readonly MadeProduct[]): Promise<void>
  /** As a read does it: what is lacking is waited for once. */
  read(bytes: Uint8Array): Promise<unknown>
}

async function settled(clock: FakeClock): Promise<void> {
  for (let turn = 0; turn < 400; turn++) await clock.settle()
}

/** Nodes, and processes with the same cache on them. */
function fleet(count = 3) {
  const clock = new FakeClock()
  const nodes: FlakyNode[] = Array.from({ length: count }, (_, at) => flakyNode(memoryNode({ id: `n${at}`, clock, maxBytes: 2 ** 24 })))
  const open = (dictionary = true, seed = 1): Process => {
    const outcomes = new Outcomes()
    const told: [string, unknown][] = []
    const emit = (name: keyof TierEvents, payload: unknown) => void told.push([name, payload])
    const parts = { cache: 'product', nodes, clock, random: seededRandom(seed), emit, outcomes }
    const made = cacheCodec<MadeProduct>({ compression: zstd({ dictionary, level: 3 }) }, "cache 'product'", parts)
    const put = (product: MadeProduct) => made.codec.encode('value', product, FIELDS)
    return {
      ...made,
      outcomes,
      told,
      put,
      async fill(products) {
        // What is looked for first is found before the last comes.
        for (const product of products.slice(0, -1)) put(product)
        await settled(clock)
        for (const product of products.slice(-1)) put(product)
        await settled(clock)
      },
      async read(bytes) {
        const decoded = made.codec.decode(bytes)
        if (decoded.rejected !== 'dictionary') return decoded.rejected ?? decoded.value
        await made.codec.lacking(bytes)
        const again = made.codec.decode(bytes)
        return again.rejected ?? again.value
      },
    }
  }
  /** What a node that evicts whatever it likes may do. */
  const evict = async (prefix: string, some: readonly FlakyNode[] = nodes): Promise<void> => {
    for (const node of some) {
      for await (const keys of node.scan(prefix)) await node.apply(keys.map((key) => ({ op: 'drop', key })))
    }
  }
  return { clock, nodes, open, evict }
}

const ENOUGH = madeProducts(1_200)
const LAST = madeProducts(1, 99)[0]!

test('one process trains, and another reads what it packed, and packs by the same', async () => {
  const { open } = fleet()
  const one = open()
  await one.fill(ENOUGH)
  const id = one.dictionaries.current?.id
  assert.ok(id !== undefined, 'a dictionary is in use')
  assert.deepEqual(
    one.told.map(([name]) => name),
    ['dictionary:adopted'],
  )
  const bytes = one.put(LAST)
  assert.ok(bytes.length < JSON.stringify(LAST).length / 2)

  const reader = open(false)
  assert.deepEqual(await reader.read(bytes), LAST, 'also where values are not packed so')
  const writer = open(true, 2)
  await writer.fill([LAST])
  assert.equal(writer.dictionaries.current?.id, id)
  assert.equal(writer.dictionaries.counts().trained, 0)
  assert.deepEqual(await one.read(writer.put(LAST)), LAST)
})

test('what is not known here is asked for once, for all who wait', async () => {
  const { open, nodes } = fleet()
  const writer = open()
  await writer.fill(ENOUGH)
  const packed = writer.put(LAST)
  assert.notEqual(writer.dictionaries.current, undefined)
  const before = nodes[0]!.mishaps.counts.calls
  const reader = open(false)
  await Promise.all(Array.from({ length: 50 }, () => reader.read(packed)))
  assert.ok(nodes[0]!.mishaps.counts.calls - before <= 1, `${nodes[0]!.mishaps.counts.calls - before} calls`)
})

test('a dictionary that no node has makes misses, counted, and is not asked for again at once; the writer puts it back', async () => {
  const { open, evict, clock } = fleet()
  const writer = open()
  await writer.fill(ENOUGH)
  const bytes = writer.put(LAST)
  await evict('rt:!dictionar')
  const reader = open(false)
  assert.equal(await reader.read(bytes), 'dictionary')
  assert.equal(reader.codec.lacking(bytes), undefined)
  assert.equal(reader.outcomes.snapshot().packing?.notFound, 1)
  assert.deepEqual(
    reader.told.map(([name]) => name),
    ['dictionary:missing'],
  )

  await clock.advance(600_000)
  await writer.fill([LAST])
  assert.deepEqual(await reader.read(bytes), LAST)
})

test('a record that is not what its name says is refused, and another node asked', async () => {
  const { open, nodes } = fleet()
  const writer = open()
  await writer.fill(ENOUGH)
  const bytes = writer.put(LAST)
  const name = `dictionary:product:${writer.dictionaries.current!.id.toString(16).padStart(8, '0')}`
  const bend = async (node: FlakyNode): Promise<void> => {
    const held = await node.control.get(name)
    const bent = Uint8Array.from(held!)
    bent[bent.length - 9]! ^= 1
    assert.ok(await node.control.compareAndSet(name, held, bent))
  }
  await bend(nodes[0]!)
  await bend(nodes[1]!)
  assert.deepEqual(await open(false).read(bytes), LAST)
  await bend(nodes[2]!)
  assert.equal(await open(false).read(bytes), 'dictionary', 'a miss, and never another value')
})

test('of two that train at once the first counts, both read both, and both come to pack by the same', async () => {
  const { open, clock } = fleet()
  const one = open(true, 1)
  const other = open(true, 2)
  await clock.settle()
  // Each has values of its own, so that each makes another dictionary.
  const [ones, others] = [madeProducts(1_200, 5), madeProducts(1_200, 6)]
  for (let at = 0; at < ones.length; at++) {
    one.put(ones[at]!)
    other.put(others[at]!)
    if (at === 1_198) await settled(clock)
  }
  await settled(clock)
  const counts = [one, other].map(({ dictionaries }) => dictionaries.counts().trained)
  assert.deepEqual(counts, [1, 1], 'both have trained')
  for (const each of [one, other]) {
    await clock.advance(600_000)
    await each.fill([LAST])
  }
  assert.equal(one.dictionaries.current?.id, other.dictionaries.current?.id)
  assert.deepEqual(await one.read(other.put(LAST)), LAST)
  assert.deepEqual(await other.read(one.put(LAST)), LAST)
})

test('values are not packed by a dictionary that most nodes could not be given', async () => {
  const { open, nodes, clock } = fleet()
  const writer = open()
  for (const node of nodes.slice(1)) node.mishaps.down()
  await writer.fill(ENOUGH)
  assert.equal(writer.dictionaries.current, undefined)
  assert.deepEqual(await open(false).read(writer.put(LAST)), LAST)
  for (const node of nodes) node.mishaps.up()
  await clock.advance(60_000)
  await writer.fill([LAST])
  assert.notEqual(writer.dictionaries.current, undefined)
})

test('values of another kind get another dictionary, and what was packed by the old one is read for as long as entries live', async () => {
  const { open, clock, nodes } = fleet()
  const writer = open()
  await writer.fill(ENOUGH)
  const first = writer.dictionaries.current!.id
  const old = writer.put(LAST)
  for (let seed = 20; seed < 30 && writer.dictionaries.current!.id === first; seed++) await writer.fill(madeProducts(1_500, seed, 'lamp'))
  assert.notEqual(writer.dictionaries.current!.id, first)
  assert.deepEqual(await open(false).read(old), LAST)

  await clock.advance(24 * DAY_MS)
  await writer.fill([LAST])
  assert.deepEqual(await open(false).read(old), LAST, 'an entry may be alive')
  await clock.advance(KEPT_MS)
  await writer.fill([LAST])
  assert.equal(await open(false).read(old), 'dictionary')
  assert.deepEqual(await open(false).read(writer.put(LAST)), LAST, 'the current one stays')
  for (const node of nodes) {
    let left = 0
    for await (const keys of node.scan('rt:!dictionary:')) left += keys.length
    assert.equal(left, 1)
  }
})

test('values that shrink much less than they did get another dictionary long before as many as usual have come', async () => {
  const { open } = fleet()
  const writer = open()
  await writer.fill(madeProducts(3_000, 40))
  const first = writer.dictionaries.current!.id
  await writer.fill(madeProducts(2_000, 41))
  assert.equal(writer.dictionaries.current!.id, first)
  for (const seed of [42, 43]) await writer.fill(madeProducts(2_000, seed, 'lamp'))
  assert.notEqual(writer.dictionaries.current!.id, first)
})

test('what the store does not have yet names no dictionary', async () => {
  const { open } = fleet()
  const writer = open()
  await writer.fill(ENOUGH)
  const pending = writer.codec.encode('pending', LAST, FIELDS)
  const nobody = cacheCodec<MadeProduct>({}, "cache 'product'", {
    cache: 'product',
    nodes: [],
    clock: new FakeClock(),
    random: seededRandom(1),
    emit: () => {},
    outcomes: new Outcomes(),
  })
  const read = nobody.codec.decode(pending)
  assert.ok(read.rejected === undefined)
  assert.deepEqual(read.value, LAST)
})

test('once closed it asks for nothing and leaves no timer', async () => {
  const { open, clock, nodes } = fleet()
  const writer = open()
  await settled(clock)
  for (const product of ENOUGH) writer.put(product)
  await writer.dictionaries.close()
  await settled(clock)
  const before = nodes[0]!.mishaps.counts.calls
  writer.put(LAST)
  await clock.advance(DAY_MS)
  writer.put(LAST)
  await clock.settle()
  assert.equal(nodes[0]!.mishaps.counts.calls, before)
  assert.equal(clock.pendingTimers, 0)
})
