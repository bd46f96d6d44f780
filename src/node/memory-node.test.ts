import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { HEADER_BYTES, KIND_BYTE, MAGIC, OFFSET } from '../codec/envelope.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { nodeConformance } from '../testing/node-conformance.ts'
import { BEGUN_MS } from '../testing/node-subject.ts'
import { ENTRY_OVERHEAD_BYTES } from './bounded-entries.ts'
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
const TENTH = Math.floor((1 << 14) / 10) - ENTRY_OVERHEAD_BYTES - 1

test('a memory node never uses more than maxBytes, and evicts what was not read before what was', async () => {
  const node = memoryNode({ id: 'm', maxBytes: 1 << 14 })
  const keys = [...'abcdefghij']
  await node.apply(keys.map((key) => put(key, TENTH)))
  assert.deepEqual(await held(node, keys), keys)
  const readAgain = memoryNode({ id: 'm', maxBytes: 1 << 14 })
  await readAgain.apply(keys.map((key) => put(key, TENTH)))
  await readAgain.getMany(['a', 'c'])
  await readAgain.apply([put('k', TENTH), put('l', TENTH)])
  assert.deepEqual(await held(readAgain, [...keys, 'k', 'l']), [...'acefghijkl'])
  const { usedBytes, evicted, entries } = await readAgain.stats()
  assert.ok(usedBytes <= 1 << 14)
  assert.deepEqual([evicted, entries], [2, 10])
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
  assert.equal((await node.stats()).usedBytes, HEADER_BYTES + 500 + 1 + ENTRY_OVERHEAD_BYTES)
  await node.apply([{ op: 'drop', key: 'a' }])
  assert.deepEqual([(await node.stats()).usedBytes, (await node.stats()).entries], [0, 0])
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
  assert.deepEqual(told.sort(), ['a', 'k'])
  await clock.advance(1_000)
  await node.getMany(['b'])
  await clock.settle()
  assert.deepEqual(told.sort(), ['a', 'b', 'k'])
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
