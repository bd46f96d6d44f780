import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settled } from '../../tests/support/cache-bench.ts'
import { MemoryJournal } from '../../tests/support/memory-journal.ts'
import { type Cart, Database, fleet, kindOn } from '../../tests/support/write-behind-fleet.ts'
import { createTier } from '../create-tier.ts'
import { memoryNode } from '../node/memory-node.ts'
import { memoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { writeBehind } from './write-behind.ts'

test('a write is acknowledged once the journal and the owners have it, and the store gets it later, the last of each key alone', async () => {
  const { one, database, journal, clock, cluster } = fleet()
  const disk = Promise.withResolvers<void>()
  journal.disk = disk.promise
  let acknowledged = false
  const first = one.cache.set('a', { n: 1 }).then(() => {
    acknowledged = true
  })
  await settled()
  assert.deepEqual([acknowledged, cluster.entries.size], [false, 0])
  disk.resolve()
  await first
  await one.cache.set('a', { n: 2 })
  await one.cache.set('b', { n: 3 })
  assert.deepEqual([await database.row('a'), journal.records.size, database.batches], [undefined, 2, []])
  await clock.advance(50)
  assert.deepEqual([await database.row('a'), await database.row('b'), database.batches], [2, 3, [['a', 'b']]])
  assert.equal(journal.records.size, 0)
  assert.equal(clock.pendingTimers, 0)
})

test('until the store has it a write is kept on the nodes without an end, and every process reads it; then it ages', async () => {
  const { one, other, database, clock, cluster } = fleet()
  database.away = true
  await one.cache.set('a', { n: 1 })
  assert.deepEqual([kindOn(cluster, 'a'), cluster.entries.get('rt:carts:a')!.ttlMs], ['pending', 0])
  await clock.advance(60_000)
  assert.deepEqual(await other.cache.getWithOutcome('a'), { value: { n: 1 }, outcome: 'hit', node: 'n1' })
  database.away = false
  await clock.advance(31_000)
  assert.deepEqual([await database.row('a'), kindOn(cluster, 'a'), cluster.entries.get('rt:carts:a')!.ttlMs], [1, 'value', 10_000])
  assert.equal((await other.cache.getWithOutcome('a')).outcome, 'hit')
  await clock.advance(10_001)
  assert.equal((await other.cache.getWithOutcome('a')).outcome, 'miss')
})

test('a removal is seen by every process before the store has made it, and the row does not come back', async () => {
  const { one, other, database, clock, cluster } = fleet()
  await database.rows.save([{ key: 'a', value: { n: 1 }, floor: 1n }])
  assert.deepEqual(await other.cache.get('a'), { n: 1 })
  await one.cache.delete('a')
  assert.equal(await database.row('a'), 1)
  for (const { cache } of [one, other])
    assert.deepEqual(await cache.getWithOutcome('a'), { value: undefined, outcome: 'negative', node: 'n1' })
  await clock.advance(50)
  assert.deepEqual([await database.row('a'), kindOn(cluster, 'a')], [undefined, 'tombstone'])
  await one.cache.set('a', { n: 2 })
  await one.cache.delete('a')
  await clock.advance(50)
  assert.equal(await database.row('a'), undefined)
})

test('deleting groups does not hide what the store does not have yet', async () => {
  const database = new Database()
  database.away = true
  const tier = await createTier({ nodes: [memoryNode({ id: 'n1' })], replicas: 1, clock: new FakeClock() })
  const strategy = writeBehind(database, { journal: new MemoryJournal(), drain: 1 })
  const cache = tier.cache<Cart>('carts', { strategy, ttl: '10s', tags: () => ['red'] })
  await cache.set('a', { n: 1 })
  await cache.deleteByTag('red')
  await cache.clear()
  assert.deepEqual(await cache.get('a'), { n: 1 })
})

test('what the nodes have lost is still read by the process that wrote it, which lays it there again', async () => {
  const { one, other, cluster } = fleet()
  await one.cache.set('a', { n: 1 })
  cluster.entries.clear()
  assert.deepEqual(await one.cache.get('a'), { n: 1 })
  await settled()
  assert.deepEqual(await other.cache.get('a'), { n: 1 })
  cluster.entries.clear()
  assert.deepEqual(Object.fromEntries(await one.cache.getMany(['a', 'b'])), { a: { n: 1 } })
  cluster.reachable = false
  assert.deepEqual(await one.cache.get('a'), { n: 1 })
})

test('while the store is away its writes wait in pauses that grow to half a minute, and none is lost', async () => {
  const { one, database, clock, journal } = fleet()
  database.away = true
  for (let n = 0; n < 20; n++) await one.cache.set(`k${n}`, { n })
  await clock.advance(600_000)
  assert.ok(database.batches.length >= 20 && database.batches.length < 50, `${database.batches.length} tries`)
  assert.deepEqual(new Set(one.told.map(({ name }) => name)), new Set(['store:failed']))
  await one.cache.set('k0', { n: 100 })
  database.away = false
  await clock.advance(31_000)
  assert.deepEqual([await database.row('k0'), await database.row('k19'), journal.records.size], [100, 19, 0])
})

test('a shard that is away holds up no other', async () => {
  const database = new Database()
  database.shardOf = (key) => key[0]!
  database.awayShard = 'a'
  const { one, clock } = fleet(undefined, database)
  await one.cache.set('a1', { n: 1 })
  await clock.advance(5_000)
  await one.cache.set('b1', { n: 2 })
  await clock.advance(50)
  assert.deepEqual([await database.row('a1'), await database.row('b1')], [undefined, 2])
  database.awayShard = undefined
  await clock.advance(31_000)
  assert.equal(await database.row('a1'), 1)
})

test('a row that the store refuses for good is a dead letter and off the nodes; it can be tried again or dropped', async () => {
  const { one, database, clock, journal } = fleet()
  database.refused = 'a'
  await one.cache.set('a', { n: 1 })
  await one.cache.set('b', { n: 2 })
  await clock.advance(50)
  await settled()
  assert.deepEqual([await database.row('b'), journal.records.size], [2, 0])
  assert.deepEqual(
    (await journal.deadLetters()).map(({ key, reason }) => [key, reason]),
    [['a', 'violates a check']],
  )
  assert.deepEqual(one.told, [{ name: 'write:buried', payload: { cache: 'carts', key: 'a', reason: 'violates a check' } }])
  assert.equal(await one.cache.get('a'), undefined)
  database.refused = undefined
  await clock.advance(1)
  assert.equal(await journal.retry([1]), 1)
  await clock.advance(50)
  assert.equal(await database.row('a'), 1)
})

test('a write that met a newer row is forgotten, and readers get the row', async () => {
  const { one, database, clock, journal, other } = fleet()
  await one.cache.set('a', { n: 1 })
  const [status] = await database.rows.save([{ key: 'a', value: { n: 99 }, floor: 2n ** 62n }])
  assert.equal(status!.state, 'saved')
  await clock.advance(50)
  await settled()
  assert.deepEqual([await database.row('a'), journal.records.size], [99, 0])
  assert.deepEqual(await other.cache.get('a'), { n: 99 })
})

test('what a store gave a higher version is followed by a later write all the same', async () => {
  const database = new Database()
  const save = database.rows.save.bind(database.rows)
  // As a trigger does that dates rows by the database's clock.
  database.rows.save = async (saves) =>
    save(saves.map((each) => (each.ifOlder === true ? { key: each.key, value: each.value, floor: each.floor + 2n ** 40n } : each)))
  const { one, clock, cluster } = fleet(undefined, database)
  await one.cache.set('a', { n: 1 })
  const slow = Promise.withResolvers<void>()
  const plain = database.save.bind(database)
  database.save = async (saves, call) => {
    const statuses = await plain(saves, call)
    await slow.promise
    return statuses
  }
  await clock.advance(50)
  await one.cache.set('a', { n: 2 })
  database.save = plain
  slow.resolve()
  await settled()
  await clock.advance(100)
  assert.equal(await database.row('a'), 2)
  assert.equal(kindOn(cluster, 'a'), 'value')
})

test('a journal that takes nothing makes writes write-through, and says so', async () => {
  for (const reason of ['full', 'broken'] as const) {
    const { one, database, journal, clock } = fleet()
    const done = async <T>(work: Promise<T>): Promise<T> => {
      await clock.advance(1)
      return work
    }
    journal.refuses = reason
    await done(one.cache.set('a', { n: 1 }))
    assert.equal(await database.row('a'), 1)
    assert.deepEqual(await done(one.cache.update('a', (cart) => ({ n: cart!.n + 1 }))), { n: 2 })
    assert.equal(await database.row('a'), 2)
    await done(one.cache.delete('a'))
    assert.equal(await database.row('a'), undefined)
    assert.deepEqual(new Set(one.told.map(({ name }) => name)), new Set(['journal:refused']))
    assert.match((one.told[0]!.payload as { reason: string }).reason, new RegExp(`^${reason}: journal memory`))
  }
})

test('updates of several processes are each made from the one before, in the store or on its way there', async () => {
  const { one, other, database, clock } = fleet()
  await database.rows.save([{ key: 'a', value: { n: 10 }, floor: 1n }])
  const increments = Array.from({ length: 20 }, (_, nth) =>
    (nth % 2 === 0 ? one : other).cache.update('a', (cart) => ({ n: (cart?.n ?? 0) + 1 })),
  )
  for (let turn = 0; turn < 60; turn++) await clock.advance(5)
  const results = await Promise.allSettled(increments)
  const done = results.filter(({ status }) => status === 'fulfilled').length
  await clock.advance(200)
  assert.ok(done >= 2)
  assert.equal(await database.row('a'), 10 + done)
})

test('who opens the journal after a crash lays its writes on the nodes again and saves them', async () => {
  const { one, database, journal, cluster, processOn, clock } = fleet()
  database.away = true
  await one.cache.set('a', { n: 1 })
  await one.cache.delete('b')
  await one.cache.update('c', () => ({ n: 5 }))
  cluster.entries.delete('rt:carts:a')
  await database.rows.save([{ key: 'b', value: { n: 7 }, floor: 1n }])
  const next = new MemoryJournal()
  for (const [name, record] of journal.records) next.records.set(name, record)
  cluster.reachable = false
  const after = processOn(next, 3)
  await clock.advance(5_000)
  // The nodes were away at first, and the store still is.
  cluster.reachable = true
  await clock.advance(1_000)
  assert.equal(kindOn(cluster, 'a'), 'pending')
  database.away = false
  assert.deepEqual(await after.cache.get('a'), { n: 1 })
  await clock.advance(31_000)
  assert.deepEqual([await database.row('a'), await database.row('b'), await database.row('c')], [1, undefined, 5])
  assert.equal(next.records.size, 0)
})

test('what neither the nodes nor the store could be told of is no success, and comes to the store in the end', async () => {
  const { one, database, cluster, clock } = fleet()
  cluster.reachable = false
  const saved = one.cache.set('a', { n: 1 })
  await clock.advance(1)
  await saved
  assert.equal(await database.row('a'), 1)
  database.away = true
  const failing = assert.rejects(one.cache.set('a', { n: 2 }), /in the journal, but neither enough owners nor the store/)
  await clock.advance(1_000)
  await failing
  database.away = false
  await clock.advance(31_000)
  assert.equal(await database.row('a'), 2)
})

test('closing saves what waits, says how much is left, and leaves the rest to the journal when its time is over', async () => {
  const { one, database, clock, journal, cluster } = fleet()
  for (let n = 0; n < 600; n++) await one.cache.set(`k${n}`, { n })
  const drained = one.cache.drained()
  await clock.advance(1)
  await drained
  assert.deepEqual([database.rows.size, journal.records.size], [600, 0])
  assert.ok([...cluster.entries.keys()].every((key) => kindOn(cluster, key.slice('rt:carts:'.length)) === 'value'))
  const left = one.told.filter(({ name }) => name === 'journal:draining').map(({ payload }) => (payload as { left: number }).left)
  assert.deepEqual(left, [600, 100, 0])
  const second = fleet()
  second.database.away = true
  await second.one.cache.set('a', { n: 1 })
  const giving = second.one.cache.drained()
  await second.clock.advance(10_000)
  await giving
  assert.equal(second.journal.records.size, 1)
  assert.equal(second.clock.pendingTimers, 0)
})

test('a store that does not remember removals is written behind only if that is said', () => {
  const forgetful: Store<Cart> = Object.assign(new Database(), { remembersRemovals: undefined })
  const journal = new MemoryJournal()
  assert.throws(
    () => writeBehind(forgetful, { journal }),
    /writeBehind: store: needs .*removals: 'products_removals'.*unmarkedRemovals: true/,
  )
  assert.equal(writeBehind(forgetful, { journal, unmarkedRemovals: true }).name, 'write-behind')
})

test('a store without versions cannot be written behind', () => {
  assert.throws(() => writeBehind(memoryStore({ versioned: false }), { journal: new MemoryJournal() }), /needs a store with row versions/)
  assert.throws(() => writeBehind(memoryStore(), {} as never), /needs what openJournal/)
})
