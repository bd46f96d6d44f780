import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { HintingFleet, type HintingProcess, Restartable } from '../../tests/support/hinting-fleet.ts'
import { isEnvelope, versionOf } from '../codec/envelope.ts'
import { riggedEntry } from '../testing/cluster-rig.ts'
import type { PutChange, Replicated } from './cluster.ts'
import { leaveAnything, lookForHints } from './hint-records.ts'

let fleet: HintingFleet
beforeEach(() => {
  fleet = new HintingFleet()
})
afterEach(() => fleet.stop())

/** Of the moment that it is put, unless told otherwise. */
const entry = (ageMs = 0, kind: 'value' | 'tombstone' = 'value') => riggedEntry({ kind, ms: fleet.clock.now() - ageMs, ttlMs: 3_600_000 })
const putOf = (key: string, bytes: Uint8Array): PutChange => ({ op: 'put', key, bytes, ttlMs: 3_600_000, issuedMs: fleet.clock.now() })

async function put(process: HintingProcess, key: string, bytes: Uint8Array): Promise<Replicated> {
  let replicated: Replicated | undefined
  process.cluster.put(putOf(key, bytes), 'quorum', (how) => {
    replicated = how
  })
  await fleet.pass(300)
  return replicated!
}

async function read(process: HintingProcess, key: string): Promise<Uint8Array | undefined> {
  let bytes: Uint8Array | undefined
  process.cluster.fetch(key, (fetched) => {
    bytes = fetched.bytes
  })
  await fleet.pass(1)
  return bytes
}

const versionAt = async (nth: number, key: string): Promise<bigint | undefined> => {
  const bytes = await fleet.server(nth).bytes(key)
  return bytes !== undefined && isEnvelope(bytes) ? versionOf(bytes) : undefined
}

test('what a node missed is on it before it is read again', async () => {
  const process = await fleet.process()
  const [old, missed] = [entry(5_000), entry()]
  await put(process, 'rt:t:0', old)
  fleet.server(0).node.mishaps.down()
  assert.equal((await put(process, 'rt:t:0', missed)).state, 'applied')
  fleet.server(0).node.mishaps.up()
  // It takes what is copied to it, but not at once.
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'apply' ? { delayMs: 40 } : undefined))
  process.found('n0')
  for (let nth = 0; nth < 30; nth++) assert.deepEqual(await read(process, 'rt:t:0'), missed)
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(missed))
  assert.deepEqual(
    process.told.filter(({ name }) => name === 'node:caught-up').map(({ payload }) => payload),
    [{ node: 'n0', copied: 1, dropped: 0 }],
  )
})

test('a node that came back is not read by anybody while its hints lie, and is when they are gone', async () => {
  const [writer, reader] = [await fleet.process(), await fleet.process()]
  fleet.server(0).node.mishaps.down()
  await put(writer, 'rt:t:0', entry())
  fleet.server(0).node.mishaps.up()
  // It takes nothing yet, so that the hints stay.
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'apply' ? 'fail' : undefined))
  reader.found('n0')
  await fleet.pass(5_000)
  assert.ok(!reader.trusts('n0'))
  fleet.server(0).node.mishaps.script(undefined)
  await fleet.pass(1_000)
  assert.ok(reader.trusts('n0') && writer.trusts('n0'))
})

test('one that answers reads and refuses writes is not read after a second, by anybody, and is when it takes them', async () => {
  const [writer, reader] = [await fleet.process(), await fleet.process()]
  const refuses = ({ operation }: { operation: string }) => (operation === 'apply' || operation === 'change' ? 'fail' : undefined)
  fleet.server(0).node.mishaps.script(refuses)
  await put(writer, 'rt:t:0', entry())
  await fleet.pass(1_000)
  assert.ok(!reader.trusts('n0') && !writer.trusts('n0'))
  fleet.server(0).node.mishaps.script(undefined)
  await fleet.pass(1_000)
  assert.ok(reader.trusts('n0') && writer.trusts('n0'))
})

test('a node that missed changes is known to be behind while it does not answer, by everybody, and is not read though the others fail', async () => {
  const [writer, reader] = [await fleet.process(), await fleet.process()]
  await put(writer, 'rt:t:0', entry(5_000))
  fleet.server(0).node.mishaps.down()
  await put(writer, 'rt:t:0', entry())
  await fleet.pass(1_000)
  assert.ok(reader.knowsBehind('n0') && writer.knowsBehind('n0'))
  // It is there again before anybody has looked, and the others are not.
  fleet.server(0).node.mishaps.up()
  for (const nth of [1, 2]) fleet.server(nth).node.mishaps.down()
  assert.equal(await read(reader, 'rt:t:0'), undefined)
  for (const nth of [1, 2]) fleet.server(nth).node.mishaps.up()
  await fleet.pass(2_000)
  assert.ok(!reader.knowsBehind('n0') && !writer.knowsBehind('n0'))
  assert.ok(reader.trusts('n0'))
})

test('a change that one process cannot bring to a node is brought there by another within a second', async () => {
  const [cut, other] = [await fleet.process(), await fleet.process()]
  await put(cut, 'rt:t:0', entry(5_000))
  let isCut = true
  const missed = entry()
  fleet
    .server(0)
    .node.mishaps.script(({ operation, keys }) => (isCut && operation === 'change' && keys[0] === 'rt:t:0' ? 'fail' : undefined))
  const putting = put(cut, 'rt:t:0', missed)
  await putting
  isCut = false
  await fleet.pass(700)
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(missed))
  assert.ok(other.trusts('n0'))
})

test('a delete that a node missed is copied, and what its keeper has no more is dropped unless it is newer', async () => {
  const process = await fleet.process()
  for (const key of ['rt:t:0', 'rt:t:5', 'rt:t:10']) await put(process, key, entry(5_000))
  fleet.server(0).node.mishaps.down()
  const gone = entry(0, 'tombstone')
  await put(process, 'rt:t:0', gone)
  await put(process, 'rt:t:5', entry())
  await put(process, 'rt:t:10', entry())
  // Evicted where it was kept; and one of the keys has been written since, where the node heard of it.
  for (const nth of [1, 2]) for (const key of ['rt:t:5', 'rt:t:10']) await fleet.server(nth).node.apply([{ op: 'drop', key }])
  fleet.server(0).node.mishaps.up()
  const newer = entry(-5_000)
  await fleet.server(0).node.apply([putOf('rt:t:10', newer)])
  process.found('n0')
  await fleet.pass(1_000)
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(gone))
  assert.equal(await versionAt(0, 'rt:t:5'), undefined)
  assert.equal(await versionAt(0, 'rt:t:10'), versionOf(newer))
})

test('while too few of the others answer to know what was missed, a node that came back is not trusted', async () => {
  const process = await fleet.process()
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  fleet.server(0).node.mishaps.up()
  process.found('n0')
  await fleet.pass(5_000)
  assert.ok(!process.trusts('n0'))
  fleet.server(1).node.mishaps.up()
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
})

test('where fewer nodes are left than a key is to have owners, one that came back is not trusted while another does not answer', async () => {
  const process = await fleet.process()
  for (const node of process.ring.members.slice(2)) process.catchUp.remove(node)
  for (const nth of [0, 1]) fleet.server(nth).node.mishaps.down()
  await fleet.pass(1_000)
  fleet.server(0).node.mishaps.up()
  process.found('n0')
  await fleet.pass(5_000)
  assert.ok(!process.trusts('n0'))
  fleet.server(1).node.mishaps.up()
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
})

test('a node that is behind is not trusted because those that know it do not answer a look', async () => {
  const [writer, reader] = [await fleet.process(), await fleet.process()]
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'apply' || operation === 'change' ? 'fail' : undefined))
  await put(writer, 'rt:t:0', entry())
  await fleet.pass(1_000)
  assert.ok(reader.knowsBehind('n0'))
  for (const nth of [1, 2]) fleet.server(nth).node.mishaps.down()
  for (let nth = 0; nth < 10; nth++) {
    await fleet.pass(200)
    assert.ok(!reader.trusts('n0'))
  }
  for (const nth of [1, 2]) fleet.server(nth).node.mishaps.up()
  await fleet.pass(500)
  assert.ok(!reader.trusts('n0'))
  fleet.server(0).node.mishaps.script(undefined)
  await fleet.pass(1_000)
  assert.ok(reader.trusts('n0') && writer.trusts('n0'))
})

test('of two processes one sees to a node, and the other takes over when that is gone', async () => {
  const [one, other] = [await fleet.process(), await fleet.process()]
  fleet.server(0).node.mishaps.down()
  for (let nth = 0; nth < 3_000; nth++) one.cluster.put(putOf(`rt:t:${nth * 5}`, entry()), 'quorum', () => {})
  await fleet.pass(300)
  fleet.server(0).node.mishaps.up()
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'apply' ? { delayMs: 40 } : undefined))
  for (const process of [one, other]) process.found('n0')
  await fleet.pass(2_000)
  const copied = [one, other].map(({ told }) => told.filter(({ name }) => name === 'node:caught-up').length)
  assert.deepEqual([...copied].sort(), [0, 1])
  const [first, second] = copied[0] === 1 ? [one, other] : [other, one]
  first.catchUp.stop()
  await fleet.server(1).node.apply([putOf('rt:t:0', entry())])
  second.hints.leave('rt:t:0', fleet.server(0).node, second.ring)
  await fleet.pass(4_000)
  assert.equal(await versionAt(0, 'rt:t:0'), await versionAt(1, 'rt:t:0'))
})

test('a node that came back with what it had once is emptied before it is read', async () => {
  const process = await fleet.process()
  await fleet.pass(10_000)
  const old = entry(5_000)
  await put(process, 'rt:t:0', old)
  const snapshot = await fleet.server(0).snapshot()
  const lost = entry()
  await put(process, 'rt:t:0', lost)
  await fleet.server(0).restart(snapshot)
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(old))
  process.found('n0')
  assert.deepEqual(await read(process, 'rt:t:0'), lost)
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
  assert.equal(await versionAt(0, 'rt:t:0'), undefined)
  assert.deepEqual(process.told.filter(({ name }) => name === 'node:emptied').length, 6, 'five at the start, and this one')
  assert.deepEqual(await read(process, 'rt:t:0'), lost)
  await fleet.pass(100)
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(lost), 'it gets warm from its peers as it is read')
})

test('a node that lost everything gives way to the others until they have filled it, also for many keys at once, whatever their age', async () => {
  const process = await fleet.process()
  const keys = ['rt:t:0', 'rt:t:5', 'rt:t:10']
  const entries = keys.map(() => entry(1_000_000))
  for (const [nth, key] of keys.entries()) await put(process, key, entries[nth]!)
  await fleet.pass(10_000)
  await fleet.server(0).restart()
  process.found('n0')
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
  const found = process.cluster.fetchMany(keys)
  await fleet.pass(1)
  assert.deepEqual(
    (await found).map(({ bytes }) => bytes),
    entries,
  )
  await fleet.pass(100)
  for (const [nth, key] of keys.entries()) assert.equal(await versionAt(0, key), versionOf(entries[nth]!))
})

test('one that somebody emptied in a run in which it was trusted keeps what was put on it since', async () => {
  const process = await fleet.process()
  await fleet.server(0).flush()
  const since = entry()
  await fleet.server(0).node.apply([putOf('rt:t:0', since)])
  await fleet.pass(1_000)
  assert.ok(process.trusts('n0'))
  assert.equal(await versionAt(0, 'rt:t:0'), versionOf(since))
})

test('a node that missed more than is kept is emptied', async () => {
  const process = await fleet.process()
  await put(process, 'rt:t:0', entry(5_000))
  fleet.server(0).node.mishaps.down()
  await leaveAnything(fleet.server(1).node, 'n0', fleet.clock.now() * 1_000, { timeoutMs: 50 })
  fleet.server(0).node.mishaps.up()
  process.found('n0')
  await fleet.pass(2_000)
  assert.ok(process.trusts('n0'))
  assert.equal(await versionAt(0, 'rt:t:0'), undefined)
})

test('a node that missed more than a process has room for, while nobody would keep a hint, is emptied', async () => {
  const process = await fleet.process()
  await put(process, 'rt:t:0', entry(5_000))
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  const owners = process.cluster.ownersOf('rt:t:0')
  const missing = owners.find(({ id }) => id === 'n0')!
  for (let nth = 0; nth < 25_000; nth++) process.hints.leave(`rt:t:${5 * nth}`, missing, process.ring)
  await fleet.pass(2_000)
  assert.ok(process.hints.owed <= 20_000)
  assert.ok(process.told.some(({ name }) => name === 'hints:lost'))
  fleet.server(1).node.mishaps.up()
  await fleet.pass(1_000)
  fleet.server(2).node.mishaps.up()
  await fleet.pass(1_000)
  for (const nth of [1, 2]) {
    const { kept } = await lookForHints(fleet.server(nth).node, ['n0'], fleet.clock.now() * 1_000, { timeoutMs: 50 })
    assert.equal(kept[0]?.anything, true, `n${nth}`)
  }
  fleet.server(0).node.mishaps.up()
  process.found('n0')
  await fleet.pass(5_000)
  assert.ok(process.trusts('n0'))
  assert.equal(await versionAt(0, 'rt:t:0'), undefined)
  assert.equal(process.hints.owed, 0)
})

test('a change that no owner took, and that stands all the same, is made again when they answer', async () => {
  const process = await fleet.process()
  await put(process, 'rt:t:0', entry(5_000))
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  const unheard = entry()
  assert.equal((await put(process, 'rt:t:0', unheard)).state, 'unacknowledged')
  assert.equal(process.hints.owed > 0, true)
  for (const nth of [0, 1]) fleet.server(nth).node.mishaps.up()
  await fleet.pass(1_000)
  fleet.server(2).node.mishaps.up()
  await fleet.pass(2_000)
  for (const nth of [0, 1, 2]) assert.equal(await versionAt(nth, 'rt:t:0'), versionOf(unheard), `n${nth}`)
  assert.equal(process.hints.owed, 0)
})

test('a node that is added while others are looked at is left for the next look', async () => {
  const process = await fleet.process()
  // One keeps a hint; the look at another takes a while, and in it the node is added.
  fleet.server(0).node.mishaps.down()
  await put(process, 'rt:t:0', entry())
  fleet.server(4).node.mishaps.script(() => ({ delayMs: 40 }))
  const looking = process.catchUp.look()
  const added = new Restartable('n5', fleet.clock)
  process.add(added)
  await fleet.pass(100)
  await looking
  fleet.server(4).node.mishaps.script(undefined)
  await fleet.pass(1_000)
  assert.ok(process.trusts('n5'))
  added.node.mishaps.close()
})

test('a second after the last look that most living nodes answered, it is not known any more who has missed changes', async () => {
  const process = await fleet.process()
  await fleet.pass(2_000)
  assert.equal(process.catchUp.isUninformed, false)
  fleet.clock.stall(1_100)
  assert.equal(process.catchUp.isUninformed, true)
  await fleet.pass(1_000)
  assert.equal(process.catchUp.isUninformed, false)
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  await fleet.pass(800)
  assert.equal(process.catchUp.isUninformed, false)
  await fleet.pass(1_000)
  assert.equal(process.catchUp.isUninformed, true)
  for (const node of ['n0', 'n1', 'n2']) process.lose(node)
  await fleet.pass(2_000)
  assert.equal(process.catchUp.isUninformed, false)
})

test('it leaves no timer', async () => {
  const process = await fleet.process()
  process.found('n0')
  process.catchUp.stop()
  await fleet.pass(1)
  assert.equal(fleet.clock.pendingTimers, 0)
})
