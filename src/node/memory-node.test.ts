import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { HEADER_BYTES, KIND_BYTE, MAGIC, OFFSET } from '../codec/envelope.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { nodeConformance } from '../testing/node-conformance.ts'
import { BEGUN_MS } from '../testing/node-subject.ts'
import { BoundedEntries, entryBytes } from './bounded-entries.ts'
import { memoryNode } from './memory-node.ts'
import type { CacheNode, Change, Script } from './node.ts'

/** Entries begin by the system's clock here, and a node takes none that began long before its own. */
const clockOfToday = () => new FakeClock(systemClock.now())

const remaining: Script = {
  name: 'remaining',
  lua: '',
  local: (entries, keys) => entries.ttlMs(keys[0]!) ?? null,
}

nodeConformance({
  name: 'a memory node',
  create: async () => {
    const clock = clockOfToday()
    const node = memoryNode({ id: 'memory' })
    await node.connect({ clock })
    return {
      node,
      ttlMs: async (key) => ((await node.run(remaining, [key], [])) as number | null) ?? undefined,
      pass: (ms) => clock.advance(ms),
      cleanup: () => node.close(),
    }
  },
})

function put(key: string, sizeBytes: number, version = 1n, ttlMs = 60_000): Change {
  const bytes = Buffer.alloc(sizeBytes)
  bytes[OFFSET.magic] = MAGIC
  bytes[OFFSET.format] = 1
  bytes[OFFSET.kind] = KIND_BYTE.value
  bytes.writeBigUInt64BE(version, OFFSET.version)
  bytes.writeUInt32BE(BEGUN_MS % 2 ** 32, OFFSET.begun)
  return { op: 'put', key, bytes, ttlMs }
}

const held = async (node: CacheNode, keys: string[]): Promise<string[]> => {
  const found = await node.getMany(keys)
  return keys.filter((_, i) => found[i] !== undefined)
}

/** The size of an entry whose key has one character, such that ten of them fill `1 << 14` bytes nearly. */
const TENTH = 1_398
assert.ok(entryBytes(1, TENTH) <= (1 << 14) / 10 && entryBytes(1, TENTH + 9) > (1 << 14) / 10)

test('a memory node never uses more than maxBytes, and keeps what is read while a scan passes', async () => {
  const node = memoryNode({ id: 'm', maxBytes: 1 << 17 })
  const keys = Array.from({ length: 79 }, (_, i) => `k${i}`)
  await node.apply(keys.map((key) => put(key, TENTH)))
  assert.deepEqual(await held(node, keys), keys, 'all that fit')
  const readOften = keys.slice(0, 60)
  for (let round = 0; round < 3; round++) await node.getMany(readOften)
  for (let i = 0; i < 300; i++) await node.apply([put(`scanned ${i}`, TENTH)])
  const left = await held(node, readOften)
  assert.ok(left.length >= 50, `${left.length} of 60`)
  const { usedBytes, evicted, entries } = await node.stats()
  assert.ok(usedBytes <= 1 << 17 && usedBytes > (1 << 17) * 0.95)
  assert.equal(evicted + entries, 79 + 300)
})

test('entries without expiry are never evicted: when they fill the node, a put fails and holds nothing', async () => {
  const node = memoryNode({ id: 'm', maxBytes: 1 << 14 })
  const kept = [...'abcdefghi']
  await node.apply(kept.map((key) => put(key, TENTH, 1n, 0)))
  await node.apply([put('j', TENTH)])
  const [larger, older] = await node.apply([put('j', TENTH * 2, 2n), put('a', TENTH * 3, 0n)])
  assert.equal(larger?.state, 'failed')
  assert.equal(older?.state, 'refused', 'what is older is refused for that, room or not')
  assert.deepEqual(await held(node, [...kept, 'j']), kept, 'the overtaken entry is gone, the others stay')
  const [afterwards] = await node.apply([put('j', TENTH)])
  assert.equal(afterwards?.state, 'applied')
})

test('an entry larger than the whole node fails and evicts nobody', async () => {
  const node = memoryNode({ id: 'm', maxBytes: 1 << 14 })
  await node.apply([put('a', TENTH)])
  const [status] = await node.apply([put('b', 1 << 15)])
  assert.equal(status?.state, 'failed')
  assert.deepEqual(await held(node, ['a', 'b']), ['a'])
})

test('replacing an entry counts its new size only, and dropping all brings the bytes back to 0', async () => {
  const node = memoryNode({ id: 'm' })
  for (let i = 1; i <= 50; i++) await node.apply([put('a', HEADER_BYTES + i * 10, BigInt(i))])
  assert.equal((await node.stats()).usedBytes, entryBytes(1, HEADER_BYTES + 500))
  await node.apply([{ op: 'drop', key: 'a' }])
  assert.deepEqual([(await node.stats()).usedBytes, (await node.stats()).entries], [0, 0])
})

test('one that walks over all entries meets those that stay, once, whatever is written meanwhile', async () => {
  const node = memoryNode({ id: 'm' })
  const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
  await node.apply(keys.map((key) => put(key, 100)))
  const met: string[] = []
  for await (const batch of node.scan('k', { batch: 10 })) {
    met.push(...batch)
    const [first, last] = [keys[met.length - 10]!, keys.at(-1)!]
    await node.apply([{ op: 'drop', key: first }, put(`new${met.length}`, 100), put(last, 90, BigInt(met.length)), put(keys[1]!, 90, 2n)])
  }
  assert.equal(new Set(met).size, met.length)
  assert.deepEqual(met.sort(), keys.sort())
})

test('a memory node takes about what it says: entries of 200 bytes and a key of 20', async () => {
  const entries = new BoundedEntries(
    1 << 24,
    () => 0,
    () => {},
  )
  for (let i = 0; i < 100_000; i++) entries.set(`rt:product:${String(i).padStart(9, '0')}`, Buffer.alloc(200), 60_000)
  assert.ok(entries.usedBytes <= 1 << 24 && entries.usedBytes > (1 << 24) * 0.99)
  assert.ok(entries.tableBytes <= (1 << 24) * 1.02, `${entries.tableBytes} of ${1 << 24}`)
})

test('expired entries leave by themselves as others are stored, without a timer', async () => {
  const clock = clockOfToday()
  const node = memoryNode({ id: 'm', clock })
  await node.apply(Array.from({ length: 100 }, (_, i) => put(`old:${i}`, 100, 1n, 1_000)))
  await clock.advance(1_000)
  assert.equal(clock.pendingTimers, 0)
  await node.apply(Array.from({ length: 100 }, (_, i) => put(`new:${i}`, 100)))
  const { entries, expired } = await node.stats()
  assert.deepEqual([entries, expired], [100, 100])
})

test('a jump of the wall clock expires nothing', async () => {
  const clock = clockOfToday()
  const node = memoryNode({ id: 'm', clock })
  await node.apply([put('a', 100, 1n, 1_000)])
  clock.jumpWall(86_400_000)
  assert.deepEqual(await held(node, ['a']), ['a'])
})

test('a watcher is told of evicted and expired keys too', async () => {
  const clock = clockOfToday()
  const node = memoryNode({ id: 'm', clock, maxBytes: 1 << 14 })
  const told: string[] = []
  await node.apply([...'abcdefghij'].map((key) => put(key, TENTH, 1n, 1_000)))
  await node.watch([''], { changed: (keys) => told.push(...keys), lost: assert.fail })
  await node.apply([put('k', TENTH, 1n, 5_000)])
  await clock.settle()
  assert.deepEqual(told.sort(), ['j', 'k'], 'one that was stored, and one that had to go for it')
  await clock.advance(1_000)
  await node.getMany(['b'])
  await clock.settle()
  assert.deepEqual(told.sort(), ['b', 'j', 'k'])
})

test('a script without a local form is unsupported, one with it runs on the entries', async () => {
  const node = memoryNode({ id: 'm' })
  await assert.rejects(node.run({ name: 'only-lua', lua: 'return 1' }, [], []), { code: 'UNSUPPORTED' })
  const append: Script = {
    name: 'append',
    lua: '',
    local: (entries, keys, args) => {
      const next = Buffer.concat([entries.get(keys[0]!) ?? Buffer.alloc(0), Buffer.from(String(args[0]))])
      entries.set(keys[0]!, next, 0)
      return next.length
    },
  }
  assert.equal(await node.run(append, ['k'], ['ab']), 2)
  assert.equal(await node.run(append, ['k'], ['c']), 3)
})

test('wrong options of a memory node are refused with what was needed', () => {
  const options = (wrong: object) => () => memoryNode({ id: 'm', ...wrong } as never)
  for (const wrong of [{ id: '' }, { weight: 0 }, { weight: Number.NaN }, { maxBytes: 1 }, { maxbytes: 1_024 }]) {
    assert.throws(options(wrong), { code: 'CONFIGURATION' }, JSON.stringify(wrong))
  }
})
