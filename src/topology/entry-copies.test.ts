import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { encodeEnvelope, freshUntilOf, kindOf, MAX_FRESH_UNTIL_MS, vacantEnvelope, versionOf } from '../codec/envelope.ts'
import type { EntryKind } from '../entry.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode, LocalEntries, Script } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import type { Ring } from '../ring/ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../testing/flaky-node.ts'
import { versionAt } from '../version-clock.ts'
import { EntryCopies } from './entry-copies.ts'
import { sweepLeftovers } from './leftovers.ts'
import type { KeyPlacing } from './topology.ts'
import { WalkedNodes } from './walked-nodes.ts'

before(() => hashRing().prepare())

const NOTHING = new Uint8Array(0)
/** What a node would say to PTTL. */
const TTL: Script = {
  name: 'ttl',
  lua: "return redis.call('PTTL', KEYS[1])",
  local: (entries: LocalEntries, [key]) => entries.ttlMs(key!) ?? -2,
}

async function rig(isDead: (id: string) => boolean = () => false) {
  const clock = new FakeClock()
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => flakyNode(memoryNode({ id, clock })))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const [old, next] = [hashRing().build<CacheNode>(nodes.slice(0, 3), 3), hashRing().build<CacheNode>(nodes, 3)]
  const giveUp = new AbortController()
  let looked = 0
  const walked = new WalkedNodes({
    clock,
    rate: 1_000,
    signal: giveUp.signal,
    looked: (entries) => {
      looked += entries
    },
  })
  const copies = new EntryCopies({ walked, clock, from: placed(old), to: placed(next), dead: nodes.filter(({ id }) => isDead(id)) })
  const moving = Array.from({ length: 2_000 }, (_, nth) => `rt:item:${nth}`).filter((key) => next.ownersOf(key).includes(nodes[3]!))
  const entry = (kind: EntryKind, ms = 0, freshUntilMs = clock.now() + 60_000): Uint8Array => {
    const times = { freshUntilMs, graceMs: 0, loadCostMs: 0, begun: clock.now() + ms }
    return encodeEnvelope({ kind, codec: 0, version: versionAt(clock.now() + ms), ...times }, NOTHING, NOTHING)
  }
  const put = (node: CacheNode, key: string, bytes: Uint8Array, ttlMs: number) =>
    node.apply([{ op: 'put', key, bytes, ttlMs, issuedMs: clock.now() }])
  const putOnAll = (key: string, bytes: Uint8Array, ttlMs: number) =>
    Promise.all(old.ownersOf(key).map((node) => put(node, key, bytes, ttlMs)))
  const held = async (key: string, node: CacheNode = nodes[3]!): Promise<Uint8Array | undefined> => (await node.getMany([key]))[0]
  const whole = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false
    const end = (): void => {
      isDone = true
    }
    work.then(end, end)
    while (!isDone) await clock.advance(10)
    return work
  }
  return {
    clock,
    nodes,
    joining: nodes[3]!,
    old,
    next,
    walked,
    copies,
    moving,
    entry,
    put,
    putOnAll,
    held,
    whole,
    giveUp,
    looked: () => looked,
  }
}

function placed(ring: Ring<CacheNode>): KeyPlacing {
  return {
    prefix: 'rt:',
    members: ring.members,
    fewestOwners: ring.replicas,
    ownersOf: (key) => (key.startsWith('rt:!') ? undefined : ring.ownersOf(key)),
  }
}

test('each kind of entry is copied with its version and what is left of its life', async () => {
  const { clock, copies, moving, entry, putOnAll, held, old, whole, joining } = await rig()
  const [value, negative, pending, tombstone, group] = moving as [string, string, string, string, string]
  await putOnAll(value, entry('value'), 60_000)
  await putOnAll(negative, entry('negative'), 60_000)
  await putOnAll(pending, entry('pending'), 0)
  await putOnAll(tombstone, entry('tombstone'), 300_000)
  await putOnAll(group, entry('tombstone', 0, MAX_FRESH_UNTIL_MS), 0)
  await clock.advance(20_000)
  await whole(copies.copyFrom(old.members))
  const lives = await Promise.all([value, negative, pending, tombstone, group].map((key) => joining.run(TTL, [key], [])))
  const [ofValue, ofNegative, ofPending, ofTombstone, ofGroup] = lives as number[]
  assert.ok(ofValue! > 39_000 && ofValue! <= 40_000, `${ofValue}`)
  assert.ok(ofNegative! >= 39_000)
  assert.equal(ofPending, 0)
  assert.ok(ofTombstone! > 279_000 && ofTombstone! <= 280_000, `${ofTombstone}`)
  assert.equal(ofGroup, 0)
  for (const key of [value, negative, pending, tombstone]) {
    const [copy, original] = [(await held(key))!, (await held(key, old.ownersOf(key)[0]!))!]
    assert.deepEqual([kindOf(copy), versionOf(copy), freshUntilOf(copy)], [kindOf(original), versionOf(original), freshUntilOf(original)])
  }
  assert.deepEqual([copies.counts.copied, copies.counts.failed], [5, 0])
})

test('what is newer on the new owner stays, and counts as skipped', async () => {
  const { clock, copies, moving, entry, put, putOnAll, held, old, whole, joining } = await rig()
  await putOnAll(moving[0]!, entry('value'), 60_000)
  await clock.advance(100)
  const newer = entry('tombstone')
  await put(joining, moving[0]!, newer, 300_000)
  await whole(copies.copyFrom(old.members))
  assert.equal(versionOf((await held(moving[0]!))!), versionOf(newer))
  assert.deepEqual([copies.counts.copied, copies.counts.skipped], [0, 1])
})

test('the newest of the owners is copied, also where the first one missed it', async () => {
  const { clock, copies, moving, entry, put, putOnAll, held, old, whole } = await rig()
  await putOnAll(moving[0]!, entry('value'), 60_000)
  await clock.advance(1_000)
  const newer = entry('value')
  for (const node of old.ownersOf(moving[0]!).slice(1)) await put(node, moving[0]!, newer, 60_000)
  await clock.advance(1_000)
  await whole(copies.copyFrom(old.members))
  assert.equal(versionOf((await held(moving[0]!))!), versionOf(newer))
})

test('what only a replica holds is not copied: its first owner may have lost it with its tombstone', async () => {
  const { clock, copies, moving, entry, put, held, old, whole } = await rig()
  await put(old.ownersOf(moving[0]!)[1]!, moving[0]!, entry('value', 0, clock.now() + 3_600_000), 3_600_000)
  await clock.advance(200_000)
  await whole(copies.copyFrom(old.members))
  assert.equal(await held(moving[0]!), undefined)
})

test('a load under way is left to its fill, and what does not move stays where it is', async () => {
  const { copies, moving, entry, putOnAll, old, next, whole, joining } = await rig()
  await putOnAll(moving[0]!, vacantEnvelope({ token: 7, until: 0 }), 60_000)
  const staying = Array.from({ length: 100 }, (_, nth) => `rt:other:${nth}`).filter((key) => !next.ownersOf(key).includes(joining))
  for (const key of staying) await putOnAll(key, entry('value'), 60_000)
  await whole(copies.copyFrom(old.members))
  assert.equal((await joining.stats()).entries, 0)
})

test('what failed is tried again, and counted where it goes on failing', async () => {
  const { clock, copies, moving, entry, putOnAll, old, whole, joining } = await rig()
  for (const key of moving.slice(0, 50)) await putOnAll(key, entry('value'), 60_000)
  joining.mishaps.down('refusing')
  const copying = copies.copyFrom(old.members)
  void clock.after(1_200, () => joining.mishaps.up())
  await whole(copying)
  assert.deepEqual([copies.counts.copied, copies.counts.failed], [50, 0])
  joining.mishaps.down('refusing')
  const again = await rig()
  await again.putOnAll(moving[0]!, again.entry('value'), 60_000)
  again.joining.mishaps.down('refusing')
  await assert.rejects(again.whole(again.copies.copyFrom(again.old.members)), /1 of 1 copies could not be made/)
  assert.deepEqual([again.copies.counts.copied, again.copies.counts.failed], [0, 1])
})

test('the keys of a node that was dead before are copied from their other owners', async () => {
  const { copies, moving, entry, putOnAll, old, whole, nodes } = await rig((id) => id === 'n1')
  const keys = moving.slice(0, 60)
  for (const key of keys) await putOnAll(key, entry('value'), 60_000)
  nodes[0]!.mishaps.down('refusing')
  await whole(copies.copyFrom(old.members))
  assert.deepEqual([copies.counts.copied, copies.counts.failed], [keys.length, 0])
})

test('a node that was alive and cannot be walked ends the change, before the switch and after it', async () => {
  for (const step of ['copyFrom', 'handOnFrom'] as const) {
    const { copies, moving, entry, putOnAll, old, whole, nodes } = await rig()
    await putOnAll(moving[0]!, entry('value'), 60_000)
    nodes[0]!.mishaps.script(({ operation }) => (operation === 'scan' ? 'fail' : undefined))
    await assert.rejects(whole(copies[step](old.members)), { name: 'TopologyError', reason: 'unreachable', message: /no end of node n1/ })
  }
})

test('where all owners of a key may be dead, and are not all removed, nothing is copied', async () => {
  const { copies, old, whole, nodes } = await rig((id) => id !== 'n4')
  for (const node of nodes.slice(0, 3)) node.mishaps.down('refusing')
  await assert.rejects(whole(copies.copyFrom(old.members)), /keys that may lie on no other; wait for node n1, node n2, node n3/)
})

test('what owners lack is handed on, also where they are deaf for a while, and where they stay so it ends the change', async () => {
  for (const deafMs of [1_200, 60_000]) {
    const { clock, copies, moving, entry, put, putOnAll, held, old, next, whole, joining } = await rig()
    const key = moving.find((each) => old.ownersOf(each).some((owner) => !next.ownersOf(each).includes(owner)))!
    const leaving = old.ownersOf(key).find((owner) => !next.ownersOf(key).includes(owner))!
    await putOnAll(key, entry('value'), 60_000)
    await put(joining, key, entry('value'), 60_000)
    await clock.advance(100)
    const newer = entry('value')
    await put(leaving, key, newer, 60_000)
    joining.mishaps.down('refusing')
    void clock.after(deafMs, () => joining.mishaps.up())
    const handing = whole(copies.handOnFrom(old.members))
    if (deafMs > 10_000) await assert.rejects(handing, /node n4 did not answer/)
    else {
      await handing
      assert.equal(versionOf((await held(key))!), versionOf(newer))
    }
  }
})

test('a batch that cannot be read from who hands it on is read again', async () => {
  const { copies, moving, entry, put, held, old, next, whole } = await rig()
  const key = moving.find((each) => old.ownersOf(each).some((owner) => !next.ownersOf(each).includes(owner)))!
  const leaving = old.ownersOf(key).find((owner) => !next.ownersOf(key).includes(owner)) as FlakyNode
  await put(leaving, key, entry('value'), 60_000)
  let failures = 0
  leaving.mishaps.script(({ operation }) => (operation === 'getMany' && failures++ < 2 ? 'fail' : undefined))
  await whole(copies.handOnFrom(old.members))
  for (const owner of next.ownersOf(key)) assert.notEqual(await held(key, owner), undefined)
})

test('no more is looked at than the rate allows, and giving up ends it at once', async () => {
  const { clock, copies, moving, entry, putOnAll, old, giveUp, looked } = await rig()
  for (const key of moving) await putOnAll(key, entry('value', 0, clock.now() + 3_600_000), 3_600_000)
  const copying = copies.copyFrom(old.members)
  copying.catch(() => {})
  await clock.advance(500)
  assert.ok(looked() >= 300 && looked() <= 500 + 3 * 128, `${looked()}`)
  giveUp.abort(new Error('enough'))
  await assert.rejects(copying, /enough/)
  assert.equal(clock.pendingTimers, 0)
})

test('entries are removed from nodes that do not own them, and from no others; records of nodes stay', async () => {
  const { moving, entry, put, putOnAll, held, old, whole, walked, nodes, joining } = await rig()
  await putOnAll(moving[0]!, entry('value'), 60_000)
  await put(joining, moving[0]!, entry('value'), 60_000)
  await joining.control.compareAndSet('node', undefined, Buffer.from('x'))
  const { removed, unswept } = await whole(sweepLeftovers(walked, nodes, placed(old)))
  assert.deepEqual([removed, unswept], [1, []])
  assert.equal(await held(moving[0]!), undefined)
  for (const owner of old.ownersOf(moving[0]!)) assert.notEqual(await held(moving[0]!, owner), undefined)
  assert.deepEqual(Buffer.from((await joining.control.get('node'))!).toString(), 'x')
  joining.mishaps.down('refusing')
  assert.deepEqual((await whole(sweepLeftovers(walked, nodes, placed(old)))).unswept, [joining])
})

test('a pending entry is removed where it is not owned only once most of its owners hold it, or something newer', async () => {
  const { clock, moving, entry, put, held, old, whole, walked, nodes, joining } = await rig()
  const [lacked, overtaken, unheard] = moving as [string, string, string]
  const pending = entry('pending')
  for (const key of [lacked, overtaken]) await put(joining, key, pending, 0)
  await clock.advance(200_000)
  const newer = entry('value')
  for (const owner of old.ownersOf(overtaken)) await put(owner, overtaken, newer, 60_000)
  assert.deepEqual(await whole(sweepLeftovers(walked, nodes, placed(old))), { removed: 2, unswept: [] })
  for (const owner of old.ownersOf(lacked)) assert.deepEqual(await held(lacked, owner), pending)
  for (const owner of old.ownersOf(overtaken)) assert.equal(versionOf((await held(overtaken, owner))!), versionOf(newer))
  for (const key of [lacked, overtaken]) assert.equal(await held(key), undefined)
  await put(joining, unheard, entry('pending'), 0)
  for (const owner of nodes.slice(0, 2)) owner.mishaps.down('refusing')
  assert.ok((await whole(sweepLeftovers(walked, nodes, placed(old)))).unswept.includes(joining))
  assert.notEqual(await held(unheard), undefined)
})
