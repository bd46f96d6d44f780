/** What write-behind keeps right where journal, store, nodes and rivals get in each other's way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settled } from '../../tests/support/cache-bench.ts'
import { MemoryJournal } from '../../tests/support/memory-journal.ts'
import { type Cart, Database, fleet, kindOn } from '../../tests/support/write-behind-fleet.ts'
import { StoreError, UnacknowledgedError } from '../errors.ts'
import type { Save, SaveStatus } from '../store/store.ts'

/** Resolves with what `work` does, once the flusher has had its turn. */
async function done<T>(clock: ReturnType<typeof fleet>['clock'], work: Promise<T>): Promise<T> {
  work.catch(() => {})
  await clock.advance(1)
  return work
}

test('of updates of one key at the same time, each that is acknowledged is in the journal', async () => {
  const { one, journal, clock } = fleet()
  const updates = Array.from({ length: 8 }, () => one.cache.update('a', (cart) => ({ n: (cart?.n ?? 0) + 1 })))
  let acknowledged = 0
  const inJournal: number[] = []
  for (const update of updates)
    update.then(
      () => {
        acknowledged++
        const body = journal.records.get('carts a')?.body
        inJournal.push(body === undefined ? 0 : Number(/"n":(\d+)/.exec(Buffer.from(body).toString('latin1'))![1]) - acknowledged)
      },
      () => {},
    )
  for (let turn = 0; turn < 40; turn++) await clock.advance(1)
  assert.ok(acknowledged >= 2)
  // What lies there counts at least those that were acknowledged by then.
  assert.ok(
    inJournal.every((ahead) => ahead >= 0),
    `${inJournal}`,
  )
})

test('an update that is read before the disk has it and is then lost with its process is saved by who reads it', async () => {
  const { one, other, journal, clock, database, cluster } = fleet()
  journal.disk = new Promise(() => {})
  void one.cache.update('a', () => ({ n: 1 }))
  await settled()
  assert.deepEqual([kindOn(cluster, 'a'), journal.records.size], ['pending', 0])
  await clock.advance(59_000)
  assert.deepEqual(await other.cache.get('a'), { n: 1 })
  await clock.advance(100)
  assert.equal(await database.row('a'), undefined)
  await clock.advance(1_000)
  assert.deepEqual((await other.cache.getMany(['a'])).get('a'), { n: 1 })
  await clock.advance(100)
  assert.deepEqual([await database.row('a'), kindOn(cluster, 'a')], [1, 'value'])
})

test('a pending entry that nobody saves gives way to the newer row when it is read', async () => {
  const { one, other, journal, clock, database, cluster } = fleet()
  journal.disk = new Promise(() => {})
  void one.cache.update('a', () => ({ n: 1 }))
  await settled()
  await database.rows.save([{ key: 'a', value: { n: 99 }, floor: 2n ** 62n }])
  await clock.advance(60_000)
  assert.deepEqual(await other.cache.get('a'), { n: 1 })
  await clock.advance(100)
  assert.notEqual(kindOn(cluster, 'a'), 'pending')
  assert.deepEqual(await other.cache.get('a'), { n: 99 })
})

test('a write that goes through while an older one of its key is pending takes its place', async () => {
  const { one, database, journal, clock, cluster } = fleet()
  await one.cache.set('a', { n: 1 })
  journal.refuses = 'full'
  await done(clock, one.cache.delete('a'))
  await clock.advance(100)
  assert.deepEqual([await database.row('a'), journal.records.size], [undefined, 0])
  database.away = true
  journal.refuses = undefined
  await one.cache.set('b', { n: 1 })
  await clock.advance(20_000)
  database.away = false
  journal.refuses = 'full'
  const through = one.cache.set('b', { n: 2 })
  await clock.advance(100)
  await through
  cluster.entries.clear()
  assert.deepEqual([await one.cache.get('b'), await database.row('b')], [{ n: 2 }, 2])
})

test('what goes through is what was given, whatever its owner does with it meanwhile', async () => {
  const { one, database, journal, clock } = fleet()
  journal.refuses = 'full'
  const cart = { n: 1 }
  const through = one.cache.set('a', cart)
  cart.n = 777
  await done(clock, through)
  assert.equal(await database.row('a'), 1)
})

test('a write that neither journal nor store takes is no success, nor is one that the store refuses for good', async () => {
  const { one, database, journal, clock, cluster } = fleet()
  journal.refuses = 'broken'
  database.away = true
  const lost = assert.rejects(one.cache.set('a', { n: 1 }), /lies on its owners, but neither the journal nor the store took it/)
  await clock.advance(1_000)
  await lost
  const update = assert.rejects(
    one.cache.update('c', () => ({ n: 1 })),
    /neither the journal nor the store took it/,
  )
  await clock.advance(1_000)
  await update
  database.away = false
  await clock.advance(31_000)
  database.refused = 'b'
  await assert.rejects(done(clock, one.cache.set('b', { n: 1 })), /violates a check/)
  journal.refuses = undefined
  cluster.reachable = false
  await assert.rejects(done(clock, one.cache.set('b', { n: 2 })), /violates a check/)
})

test('of what neither journal nor store takes only so much waits: more is shed before anything is done, until the store takes some', async () => {
  const { one, database, journal, clock, cluster } = fleet()
  const rejected = async (work: Promise<unknown>, expected: object): Promise<void> => {
    const rejects = assert.rejects(work, expected)
    await clock.advance(1_000)
    await rejects
  }
  journal.refuses = 'full'
  database.away = true
  const waiting = one.cache.setMany(Array.from({ length: 20_000 }, (_, nth) => [`k${nth}`, { n: 1 }]))
  await clock.advance(20_000)
  for (const result of (await waiting).values()) assert.ok(!result.ok && result.error instanceof UnacknowledgedError)
  const shed = { code: 'OVERLOADED', message: /^cache 'carts': the journal takes nothing/ }
  await rejected(one.cache.set('more', { n: 1 }), shed)
  await rejected(one.cache.delete('k1'), shed)
  assert.equal(cluster.entries.has('rt:carts:more'), false)
  assert.equal(one.cache.metrics().store?.pending?.writes, 20_000)
  const update = one.cache.update('more', () => ({ n: 1 }))
  await rejected(update, /lies on its owners, but neither the journal nor the store took it/)
  journal.refuses = undefined
  await one.cache.set('k1', { n: 2 })
  journal.refuses = 'full'
  await rejected(one.cache.set('other', { n: 1 }), { code: 'UNACKNOWLEDGED' })
  database.away = false
  await clock.advance(60_000)
  assert.deepEqual([await database.row('k1'), await database.row('other'), await database.row('more')], [2, 1, undefined])
  await done(clock, one.cache.set('more', { n: 3 }))
  assert.equal(await database.row('more'), 3)
})

test('a later write meets the row that overtook an earlier one, and does not take its place', async () => {
  const { one, database, clock } = fleet()
  const slow = Promise.withResolvers<void>()
  const save = database.save.bind(database)
  database.save = async (saves, call) => {
    await slow.promise
    return save(saves, call)
  }
  await one.cache.set('a', { n: 1 })
  await clock.advance(50)
  await one.cache.set('a', { n: 2 })
  await database.rows.save([{ key: 'a', value: { n: 99 }, floor: 2n ** 62n }])
  slow.resolve()
  await settled()
  await clock.advance(200)
  assert.deepEqual([await database.row('a'), await one.cache.get('a')], [99, { n: 99 }])
})

test('a conflict with an older row, or with none, is tried again', async () => {
  const { one, database, clock } = fleet()
  const save = database.save.bind(database)
  let conflicts = 2
  database.save = async (saves, call) => {
    if (conflicts-- > 0) return saves.map((): SaveStatus => ({ state: 'conflict', version: 0n }))
    return save(saves, call)
  }
  await one.cache.set('a', { n: 1 })
  await clock.advance(1_000)
  assert.equal(await database.row('a'), 1)
})

test('what a follower tells of a row takes no pending write away, and no pending removal for an absence', async () => {
  const { one, other, database, clock, cluster } = fleet()
  await one.cache.set('a', { n: 1 })
  await clock.advance(50)
  const [row] = [...(await database.rows.load(['a'])).rows.values()]
  await one.cache.delete('a')
  const insert = { key: 'a', op: 'insert', version: row!.version, rising: true, committedMs: clock.now() } as const
  await one.cache.applyChanges([insert])
  await other.cache.applyChanges([insert])
  assert.equal(await other.cache.get('a'), undefined)
  await clock.advance(100)
  assert.deepEqual([await database.row('a'), await other.cache.get('a')], [undefined, undefined])
  await one.cache.set('b', { n: 100 })
  await other.cache.applyChanges([{ key: 'b', op: 'update', version: undefined, rising: false, committedMs: clock.now() }])
  assert.equal(kindOn(cluster, 'b'), 'pending')
  assert.deepEqual(await other.cache.get('b'), { n: 100 })
})

test('owners are told of a saved write until they have heard, and only then the journal forgets it', async () => {
  const { one, database, clock, cluster, journal } = fleet()
  await one.cache.set('a', { n: 1 })
  cluster.reachable = false
  await clock.advance(60_000)
  assert.deepEqual([await database.row('a'), journal.records.size], [1, 1])
  cluster.reachable = true
  await clock.advance(21_000)
  assert.deepEqual([kindOn(cluster, 'a'), journal.records.size], ['value', 0])
})

test('of writes of which owners have yet to hear only so many are remembered; who reads the others settles them', async () => {
  const { one, other, clock, cluster, journal, database } = fleet()
  await one.cache.setMany(Array.from({ length: 20_001 }, (_, nth) => [`k${nth}`, { n: nth }]))
  cluster.reachable = false
  await clock.advance(5_000)
  assert.equal(journal.records.size, 20_000)
  assert.equal(await database.row('k20000'), 20_000)
  cluster.reachable = true
  await clock.advance(60_000)
  assert.equal(journal.records.size, 0)
  const pending = Array.from({ length: 20_001 }, (_, nth) => `k${nth}`).filter((key) => kindOn(cluster, key) === 'pending')
  assert.equal(pending.length, 1)
  await other.cache.get(pending[0]!)
  await clock.advance(1_000)
  assert.equal(kindOn(cluster, pending[0]!), 'value')
})

test('closing waits until the owners have heard that the last writes are saved', async () => {
  const { one, clock, cluster, journal } = fleet()
  await one.cache.set('a', { n: 1 })
  cluster.reachable = false
  let closed = false
  const drained = one.cache.drained().then(() => {
    closed = true
  })
  await clock.advance(3_000)
  assert.equal(closed, false)
  cluster.reachable = true
  await clock.advance(1_000)
  await drained
  assert.deepEqual([kindOn(cluster, 'a'), journal.records.size, clock.pendingTimers], ['value', 0, 0])
})

test('closing leaves no timer where neither nodes nor store take what the journal held', async () => {
  const { one, processOn, database, clock, cluster, journal } = fleet()
  database.away = true
  await one.cache.set('a', { n: 1 })
  cluster.reachable = false
  const again = processOn(journal, 3)
  await clock.advance(5_000)
  const drained = Promise.all([one, again].map(({ cache }) => cache.drained()))
  await clock.advance(10_000)
  await drained
  assert.deepEqual([journal.records.size, clock.pendingTimers], [1, 0])
})

test('a value that the store refuses goes from the nodes, though they were away when it did', async () => {
  const { one, other, database, clock, cluster } = fleet()
  database.refused = 'a'
  await one.cache.set('a', { n: 1 })
  cluster.reachable = false
  await clock.advance(1_000)
  cluster.reachable = true
  await clock.advance(21_000)
  assert.equal(await other.cache.get('a'), undefined)
})

test('a row for whose sake its whole batch is refused holds up the others for a while, and is buried in the end', async () => {
  const database = new Database()
  const save = database.save.bind(database)
  // As a row-level policy does: the statement fails, and does not say for which row.
  database.save = async (saves: readonly Save<Cart>[], call) => {
    if (saves.some(({ key }) => key === 'poison')) return saves.map(() => ({ state: 'failed', error: new StoreError('permission denied') }))
    return save(saves, call)
  }
  const { one, clock, journal } = fleet(undefined, database)
  for (let n = 0; n < 50; n++) await one.cache.set(n === 20 ? 'poison' : `k${n}`, { n })
  await clock.advance(60_000)
  assert.equal(database.rows.size, 49)
  for (let n = 0; n < 12; n++) {
    await one.cache.set('more', { n })
    await clock.advance(60_000)
  }
  assert.deepEqual(
    (await journal.deadLetters()).map(({ key }) => key),
    ['poison'],
  )
})

test('a store that takes nothing buries nothing, however long', async () => {
  const { one, clock, journal, database } = fleet()
  database.away = true
  for (let n = 0; n < 5; n++) await one.cache.set(`k${n}`, { n })
  await clock.advance(3_600_000)
  assert.equal(journal.letters.length, 0)
  database.away = false
  await clock.advance(60_000)
  assert.equal(database.rows.size, 5)
})

test('keys that the journal held are saved by shard, though it was not known where they lie when it was opened', async () => {
  const before = fleet()
  for (const key of ['a1', 'a2', 'b1', 'b2']) await before.one.cache.set(key, { n: 1 })
  const database = new Database()
  let ready = false
  database.shardOf = (key) => (ready ? key[0]! : '')
  database.prepare = async () => {
    ready = true
  }
  const { clock } = fleet([before.journal], database)
  await clock.advance(100)
  assert.deepEqual(database.batches, [
    ['a1', 'a2'],
    ['b1', 'b2'],
  ])
})

test('what the journal held orders what is written after it, whatever the clock says', async () => {
  const { one, journal, processOn, clock, cluster, database } = fleet()
  database.away = true
  clock.jumpWall(3_600_000)
  await one.cache.set('a', { n: 1 })
  const next = new MemoryJournal()
  for (const [name, record] of journal.records) next.records.set(name, record)
  clock.jumpWall(-3_600_000)
  cluster.entries.clear()
  const after = processOn(next, 3)
  await after.cache.set('a', { n: 2 })
  assert.match(Buffer.from(next.records.get('carts a')!.body).toString('latin1'), /"n":2/)
})

test('a loader is asked for what was deleted a moment ago', async () => {
  const { one, clock } = fleet()
  await one.cache.set('a', { n: 1 })
  await one.cache.delete('a')
  assert.deepEqual(await one.cache.getOrSet('a', () => ({ n: 5 })), { n: 5 })
  await clock.advance(100)
})

test('a key that is written again and again counts as waiting since the first write that the store lacks', async () => {
  const { one, database, clock } = fleet()
  database.away = true
  await one.cache.set('a', { n: 1 })
  await clock.advance(60_000)
  await one.cache.set('a', { n: 2 })
  assert.equal(one.cache.metrics().store?.pending?.oldestMs, 60_000)
})

test('a delete by another process stays, though an older write comes to the store after it', async () => {
  const { one, other, database, clock } = fleet()
  await one.cache.set('a', { n: 1 })
  await clock.advance(10)
  const save = database.save.bind(database)
  database.save = async (saves) => saves.map(() => ({ state: 'failed', error: new StoreError('connection refused') }))
  await other.cache.delete('a')
  await clock.advance(60)
  database.save = save
  await clock.advance(1_000)
  assert.equal(await database.row('a'), undefined)
  await clock.advance(301_000)
  assert.equal(await other.cache.get('a'), undefined)
})

test('a write that was saved before its process was killed does not come back when it is replayed after a delete', async () => {
  const { one, other, database, clock, journal, processOn } = fleet()
  await one.cache.set('a', { n: 1 })
  const [record] = [...journal.records.values()]
  await clock.advance(100)
  await other.cache.delete('a')
  await clock.advance(100)
  const next = new MemoryJournal()
  next.records.set('carts a', record!)
  // Long after the nodes have forgotten it.
  await clock.advance(3_600_000)
  processOn(next, 3)
  await clock.advance(1_000)
  assert.deepEqual([await database.row('a'), await other.cache.get('a'), next.records.size], [undefined, undefined, 0])
})
