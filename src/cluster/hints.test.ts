import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { HintingFleet, type HintingProcess } from '../../tests/support/hinting-fleet.ts'
import { isEnvelope, versionOf } from '../codec/envelope.ts'
import type { TierEvents } from '../events.ts'
import { queuesOf } from '../queues.ts'
import { riggedEntry } from '../testing/cluster-rig.ts'
import type { PutChange } from './cluster.ts'
import { listHints } from './hint-records.ts'

let fleet: HintingFleet
beforeEach(() => {
  fleet = new HintingFleet()
})
afterEach(() => fleet.stop())

const CALL = { timeoutMs: 50 }
const keyOf = (nth: number): string => `rt:t:${nth}`
const entry = () => riggedEntry({ ms: fleet.clock.now(), ttlMs: 3_600_000 })

const putOf = (nth: number, bytes: Uint8Array): PutChange => ({
  op: 'put',
  key: keyOf(nth),
  bytes,
  ttlMs: 3_600_000,
  issuedMs: fleet.clock.now(),
})

async function putAll({ cluster }: HintingProcess, nths: readonly number[], bytes: Uint8Array): Promise<void> {
  for (const nth of nths) cluster.put(putOf(nth, bytes), 'quorum', () => {})
  await fleet.pass(300)
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, nth) => nth)

async function versionAt(node: number, nth: number): Promise<bigint | undefined> {
  const bytes = await fleet.server(node).bytes(keyOf(nth))
  return bytes !== undefined && isEnvelope(bytes) ? versionOf(bytes) : undefined
}

/** How many of the keys lie in this version on all three of their owners. */
async function wholeOnes(nths: readonly number[], bytes: Uint8Array): Promise<number> {
  let whole = 0
  for (const nth of nths) {
    const held = await Promise.all([0, 1, 2].map((at) => versionAt((nth + at) % 5, nth)))
    if (held.every((version) => version === versionOf(bytes))) whole++
  }
  return whole
}

function fall(how: 'refusing' | 'silent'): void {
  for (const { node } of fleet.servers) node.mishaps.down(how)
}

function rise(process: HintingProcess): void {
  for (const { node } of fleet.servers) node.mishaps.up()
  for (const { id } of fleet.servers) process.found(id)
}

const lostOf = ({ told }: HintingProcess): readonly TierEvents['hints:lost'][] =>
  told.filter(({ name }) => name === 'hints:lost').map(({ payload }) => payload as TierEvents['hints:lost'])
const countOf = ({ told }: HintingProcess, name: string): number => told.filter((each) => each.name === name).length

for (const how of ['refusing', 'silent'] as const) {
  test(`what a process wrote that was cut off from all nodes (${how}) is on them when it is not any more, and none is emptied for it`, async () => {
    const process = await fleet.process()
    const emptied = countOf(process, 'node:emptied')
    fall(how)
    const written = entry()
    await putAll(process, range(5_000), written)
    await fleet.pass(1_000)
    rise(process)
    await fleet.pass(2_000)
    assert.equal(await wholeOnes(range(5_000), written), 5_000)
    assert.equal(countOf(process, 'node:emptied'), emptied)
    assert.deepEqual(lostOf(process), [])
    assert.equal(process.hints.owed, 0)
  })
}

test('of what it wrote beyond what it may hold as much as that is told as lost, rarely, and no node is emptied', async () => {
  const process = await fleet.process()
  const emptied = countOf(process, 'node:emptied')
  fall('refusing')
  const written = entry()
  const nths = range(22_000)
  for (let from = 0; from < nths.length; from += 500) {
    const changes = nths.slice(from, from + 500).map((nth) => putOf(nth, written))
    await process.cluster.replicate(changes, 'quorum')
    if (from > 19_000) await fleet.pass(100)
  }
  await fleet.pass(1_000)
  assert.equal(
    lostOf(process).reduce((sum, { keys }) => sum + keys, 0),
    2_000,
  )
  assert.ok(lostOf(process).length <= 5 * 6, `told ${lostOf(process).length} times in 1.6 seconds, of 5 nodes`)
  rise(process)
  await fleet.pass(6_000)
  assert.equal(await wholeOnes(nths.slice(0, 20_000), written), 20_000)
  assert.equal(countOf(process, 'node:emptied'), emptied)
  assert.equal(process.hints.owed, 0)
})

test('changes that were told as failed empty no node, however many', async () => {
  const process = await fleet.process({ stands: false })
  const emptied = countOf(process, 'node:emptied')
  const before = entry()
  await putAll(process, range(5), before)
  fall('silent')
  const nths = range(12_000)
  for (let from = 5; from < nths.length; from += 500) {
    const changes = nths.slice(from, from + 500).map((nth) => putOf(nth, entry()))
    void process.cluster.replicate(changes, 'quorum')
  }
  await fleet.pass(3_000)
  rise(process)
  await fleet.pass(3_000)
  assert.equal(countOf(process, 'node:emptied'), emptied)
  assert.equal(await wholeOnes(range(5), before), 5)
})

test('a change that was told as failed, and that one owner may have taken, is brought to the others if it has', async () => {
  const process = await fleet.process({ stands: false })
  await putAll(process, [0], entry())
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'change' ? 'lose-answer' : undefined))
  for (const nth of [1, 2]) fleet.server(nth).node.mishaps.script(({ operation }) => (operation === 'change' ? 'fail' : undefined))
  await fleet.pass(10)
  const unknown = entry()
  await putAll(process, [0], unknown)
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.script(undefined)
  await fleet.pass(2_000)
  assert.equal(await wholeOnes([0], unknown), 1)
})

test('one that is refused at once is hinted where another owner takes the change later, and not before', async () => {
  const process = await fleet.process()
  await putAll(process, [0], entry())
  fleet.server(0).node.mishaps.down()
  for (const nth of [1, 2])
    fleet.server(nth).node.mishaps.script(({ operation }) => (operation === 'change' ? { delayMs: 100 } : undefined))
  process.cluster.put(putOf(0, entry()), 'quorum', () => {})
  await fleet.pass(90)
  assert.deepEqual(await listHints(fleet.server(1).node, 'n0', 10, CALL), [])
  await fleet.pass(20)
  for (const nth of [1, 2]) assert.equal((await listHints(fleet.server(nth).node, 'n0', 10, CALL))[0]?.key, keyOf(0), `n${nth}`)
})

test('of many changes at once that no owner took none leaves a hint, and each is made again', async () => {
  const process = await fleet.process()
  fall('refusing')
  const written = entry()
  await process.cluster.replicate(
    range(5_000).map((nth) => putOf(nth, written)),
    'quorum',
  )
  assert.equal(process.hints.owed, 5_000)
  rise(process)
  await fleet.pass(2_000)
  assert.equal(await wholeOnes(range(5_000), written), 5_000)
  assert.deepEqual([process.hints.owed, lostOf(process)], [0, []])
})

test('changes whose owners stay dead keep no others from being made again', async () => {
  const process = await fleet.process()
  for (const nth of [0, 1, 2, 3]) fleet.server(nth).node.mishaps.down()
  // On n0, n1 and n2, which stay so; then one that n3 is an owner of.
  await putAll(
    process,
    range(600).map((nth) => 5 * nth),
    entry(),
  )
  const last = entry()
  fleet.server(4).node.mishaps.down()
  await putAll(process, [1], last)
  for (const nth of [3, 4]) fleet.server(nth).node.mishaps.up()
  await fleet.pass(1_500)
  assert.equal(await versionAt(3, 1), versionOf(last))
})

test('a change that no owner took goes to those that own the key when it is made again', async () => {
  const process = await fleet.process()
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  const written = entry()
  await putAll(process, [0], written)
  // Those three have left, for good.
  process.turn((nth) => [3, 4].map((at) => (nth + at) % 5))
  await fleet.pass(1_000)
  for (const node of [3, 4]) assert.equal(await versionAt(node, 0), versionOf(written), `n${node}`)
  assert.equal(process.hints.owed, 0)
})

test('a hint that nobody would keep is kept by those that own the key by then, and given up where its node owns it no more', async () => {
  const process = await fleet.process()
  await putAll(process, [0, 1], entry())
  const lets = { run: false }
  for (const { node } of fleet.servers) node.mishaps.script(({ operation }) => (operation === 'run' && !lets.run ? 'fail' : undefined))
  fleet.server(2).node.mishaps.down()
  await putAll(process, [0, 1], entry())
  assert.equal(process.hints.owed, 2)
  // n2 still owns key 0, beside n3; and key 1 not any more.
  process.turn((nth) => (nth === 0 ? [2, 3] : [3, 4]))
  lets.run = true
  await fleet.pass(1_000)
  assert.deepEqual(
    (await listHints(fleet.server(3).node, 'n2', 10, CALL)).map(({ key }) => key),
    [keyOf(0)],
  )
  assert.equal(process.hints.owed, 0)
})

test('hints beyond what may be under way at once are left in turn, and none of them is lost', async () => {
  const process = await fleet.process()
  const old = entry()
  await putAll(process, range(20_000), old)
  await fleet.pass(10)
  const lets = { run: false }
  let mostUnderWay = 0
  for (const { node } of fleet.servers)
    node.mishaps.script(({ operation }) => {
      mostUnderWay = Math.max(mostUnderWay, queuesOf([process.hints]).hintsUnderWay.depth)
      return operation === 'run' && !lets.run ? 'fail' : undefined
    })
  fleet.server(0).node.mishaps.down()
  const written = entry()
  // Each is owed once and would be left at two owners.
  const missed = range(20_000).filter((nth) => [0, 3, 4].includes(nth % 5))
  await putAll(process, missed, written)
  assert.ok(mostUnderWay > 19_900 && mostUnderWay <= 20_000, `${mostUnderWay} under way`)
  await fleet.pass(1_000)
  const emptied = countOf(process, 'node:emptied')
  lets.run = true
  fleet.server(0).node.mishaps.up()
  process.found('n0')
  await fleet.pass(10_000)
  assert.deepEqual(lostOf(process), [])
  assert.equal(await wholeOnes(missed, written), missed.length)
  assert.equal(countOf(process, 'node:emptied'), emptied)
})

test('a node that has left is owed nothing, and nothing is to be kept there', async () => {
  const process = await fleet.process()
  for (const nth of [0, 1, 2]) fleet.server(nth).node.mishaps.down()
  const missing = process.cluster.ownersOf(keyOf(0))[0]!
  for (const nth of range(25_000)) process.hints.leave(keyOf(5 * nth), missing, process.ring)
  await fleet.pass(1_000)
  assert.ok(process.hints.owed > 0)
  process.catchUp.remove(process.cluster.ownersOf(keyOf(0))[1]!)
  fleet.server(2).node.mishaps.up()
  await fleet.pass(1_000)
  assert.equal(process.hints.owed, 0, 'n2 has kept it, and n1 has left')
  fleet.server(2).node.mishaps.down()
  for (const nth of range(25_000)) process.hints.leave(keyOf(5 * nth), missing, process.ring)
  await fleet.pass(1_000)
  process.turn((nth) => [1, 2, 3].map((at) => (nth + at) % 5))
  process.catchUp.remove(missing)
  await fleet.pass(1_000)
  assert.equal(process.hints.owed, 0)
})
