/**
 * A ring that changes while something is not as it should be: whatever that is, what was written is there afterwards, or the change is not made.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Cache, type ChangeProgress, cacheAside, ketamaRing, memoryStore, writeThrough } from '../src/index.ts'
import { type Process, RingFleet } from './support/ring-fleet.ts'

const KEYS = 300
const keyOf = (nth: number): string => `k${nth}`

/** Entries that are so old that read repair would not bring them to a node that lacks them. */
async function aged(options: Parameters<typeof RingFleet.start>[0] = {}) {
  const fleet = await RingFleet.start(options)
  const [a, b] = fleet.processes as [Process, Process]
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(a.cache.set(keyOf(nth), nth), 0)
  await fleet.clock.advance(200_000)
  return { fleet, a, b }
}

async function lostOf(fleet: RingFleet, { cache }: Process): Promise<number> {
  let lost = 0
  for (let nth = 0; nth < KEYS; nth++) if ((await fleet.until(cache.get(keyOf(nth)), 0)) !== nth) lost++
  return lost
}

async function ended(fleet: RingFleet): Promise<void> {
  await fleet.close()
  assert.equal(fleet.clock.pendingTimers, 0)
}

for (const [replicas, unwalked] of [
  [1, ['n1']],
  [3, ['n1', 'n2', 'n3']],
] as const) {
  for (const at of ['copying', 'checking'] as const) {
    test(`live nodes that cannot be looked through while ${at} end the change, at ${replicas} replicas, and nothing is lost`, async () => {
      const { fleet, a, b } = await aged({ replicas })
      let isOn = false
      let isOver = false
      for (const id of unwalked) a.way(id).mishaps.script(({ operation }) => (isOn && operation === 'scan' ? 'fail' : undefined))
      const onProgress = ({ step }: ChangeProgress): void => {
        // Going back from the switch takes the same steps: by then they can be.
        isOver ||= isOn && step !== at
        isOn = step === at && !isOver
      }
      const add = ['n5', 'n6', 'n7'].map((id) => a.way(id))
      await assert.rejects(fleet.until(a.tier.changeRing({ add }, { onProgress })), { reason: 'unreachable', message: /no end of node n1/ })
      assert.deepEqual([b.tier.topology().phase, b.tier.topology().members.length], ['settled', 4])
      assert.equal(await lostOf(fleet, b), 0)
      await ended(fleet)
    })
  }
}

/** A cache on two of the nodes alone, full, in the second process. */
async function withCarts(options: Partial<Parameters<Process['tier']['cache']>[1]> = {}) {
  const fleet = await RingFleet.start({ nodes: 5 })
  const [a, b] = fleet.processes as [Process, Process]
  const cart = { ttl: '1h', strategy: cacheAside(), replicas: 2, nodes: ['n1', 'n2'], ...options } as const
  const carts: Cache<unknown> = b.tier.cache<unknown>('cart', cart)
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(carts.set(keyOf(nth), nth), 0)
  await fleet.clock.advance(1_000)
  return { fleet, a, b, cart, carts }
}

const lostOfCarts = (fleet: RingFleet, b: Process, carts: Cache<unknown>): Promise<number> => lostOf(fleet, { ...b, cache: carts })

/** Of a cache, whatever the ring says. */
async function countedOn(fleet: RingFleet, id: string, cache: string): Promise<number> {
  let count = 0
  for await (const keys of fleet.node(id).scan(`rt:${cache}:`)) count += keys.length
  return count
}

test('a change by a process that has not a cache with nodes of its own leaves that where it is', async () => {
  const { fleet, a, b, carts } = await withCarts()
  await fleet.until(a.tier.changeRing({ weights: { n5: 1.01 } }))
  assert.equal(await lostOfCarts(fleet, b, carts), 0)
  for (const id of ['n3', 'n4', 'n5']) assert.equal(await countedOn(fleet, id, 'cart'), 0)
  await ended(fleet)
})

test('it carries such a cache to where its own processes look for it, and removes it elsewhere', async () => {
  const { fleet, a, b, carts } = await withCarts({ nodes: ['n1', 'n2', 'n3'] })
  await fleet.until(a.tier.changeRing({ remove: ['n1'] }))
  assert.equal(await lostOfCarts(fleet, b, carts), 0)
  assert.deepEqual(await Promise.all(['n1', 'n2', 'n3', 'n4'].map((id) => countedOn(fleet, id, 'cart'))), [0, KEYS, KEYS, 0])
  await ended(fleet)
})

test('what is known of such a cache outlives its processes, and is told to nodes that join', async () => {
  const { fleet, a, b, cart } = await withCarts()
  await fleet.until(b.tier.close())
  fleet.processes.pop()
  await fleet.until(a.tier.changeRing({ add: [a.way('n6')], remove: ['n5'] }))
  assert.deepEqual(await fleet.node('n6').control.get('topology-caches'), await fleet.node('n1').control.get('topology-caches'))
  const [operator, service] = [await fleet.join(['n1', 'n2', 'n6']), await fleet.join(['n1', 'n2', 'n3'])]
  await fleet.until(operator.tier.changeRing({ remove: ['n4'] }))
  assert.equal(await lostOfCarts(fleet, service, service.tier.cache<unknown>('cart', cart)), 0)
  await ended(fleet)
})

test('a change is refused to a process that cannot know where a cache lies', async () => {
  const { fleet, a, b, carts } = await withCarts({ ring: ketamaRing() })
  await assert.rejects(fleet.until(a.tier.changeRing({ remove: ['n5'] })), { code: 'CONFIGURATION', message: /'cart'/ })
  assert.equal(a.tier.topology().epoch, 0)
  await fleet.until(b.tier.changeRing({ remove: ['n5'] }))
  assert.equal(await lostOfCarts(fleet, b, carts), 0)
  await ended(fleet)
})

test('a cache that has a ring of its own no more is placed as the others are', async () => {
  const { fleet, a, b } = await withCarts({ ring: ketamaRing() })
  await fleet.until(b.tier.close())
  fleet.processes.pop()
  const later = await fleet.join(['n1', 'n2', 'n3', 'n4', 'n5'])
  const carts = later.tier.cache<unknown>('cart', { ttl: '1h', strategy: cacheAside() })
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(carts.set(keyOf(nth), nth), 0)
  await fleet.until(a.tier.changeRing({ remove: ['n5'] }))
  assert.equal(await lostOfCarts(fleet, later, carts), 0)
  await ended(fleet)
})

for (const strategy of ['write-through', 'cache-aside'] as const) {
  test(`what a process writes that was stopped through a change is where the others read it (${strategy})`, async () => {
    const fleet = await RingFleet.start({ cache: { strategy: strategy === 'cache-aside' ? cacheAside() : writeThrough(memoryStore()) } })
    const [a, b] = fleet.processes as [Process, Process]
    for (let nth = 0; nth < KEYS; nth++) await fleet.until(a.cache.set(keyOf(nth), 'old'), 0)
    await fleet.clock.advance(1_000)
    let isStopped = true
    for (const id of ['n1', 'n2', 'n3', 'n4'])
      b.way(id).mishaps.script(({ operation }) =>
        isStopped && operation === 'control.get' ? { outcome: 'lose-call', delayMs: Number.POSITIVE_INFINITY } : undefined,
      )
    await fleet.until(a.tier.changeRing({ add: ['n5', 'n6', 'n7'].map((id) => a.way(id)), remove: ['n1', 'n2', 'n3'] }))
    await fleet.clock.advance(10_000)
    isStopped = false
    // Its look and its callers' writes leave in one turn.
    await fleet.until(Promise.all(Array.from({ length: KEYS }, (_, nth) => b.cache.set(keyOf(nth), nth))), 1)
    assert.equal(b.tier.topology().epoch, 3)
    assert.equal(await lostOf(fleet, a), 0)
    await ended(fleet)
  })
}

test('what is written by an old ring, while the nodes do not say which it is, is made once more by the new one', async () => {
  const fleet = await RingFleet.start()
  const [a, b] = fleet.processes as [Process, Process]
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(a.cache.set(keyOf(nth), 'old'), 0)
  let isCutOff = true
  for (const id of ['n1', 'n2', 'n3', 'n4'])
    b.way(id).mishaps.script(({ operation }) => (isCutOff && operation === 'control.get' ? 'fail' : undefined))
  await fleet.until(a.tier.changeRing({ add: ['n5', 'n6', 'n7'].map((id) => a.way(id)), remove: ['n1', 'n2', 'n3'] }))
  await fleet.until(Promise.all(Array.from({ length: KEYS }, (_, nth) => b.cache.set(keyOf(nth), nth))), 1)
  assert.ok((await lostOf(fleet, a)) > KEYS / 2)
  isCutOff = false
  await fleet.clock.advance(5_000)
  assert.equal(await lostOf(fleet, a), 0)
  await ended(fleet)
})
