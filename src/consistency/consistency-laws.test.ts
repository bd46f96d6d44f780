/**
 * The law of the check, on random histories: a fleet in which every change reaches every owner within the bound is never accused, and a copy
 * that is left behind for longer always is.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Cache } from '../caches/cache.ts'
import { memoryStore } from '../store/memory-store.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { readThrough } from '../strategy/read-through.ts'
import type { StrategyChoice } from '../strategy/strategy.ts'
import { writeAround } from '../strategy/write-around.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { type CheckedTier, checkedTier } from '../testing/checked-tier.ts'
import type { FakeClock } from '../testing/fake-clock.ts'

const RUNS = { numRuns: 40 }
const KEYS = ['a', 'b', 'c']
const BOUND_MS = 2_000

type Kind = 'aside' | 'through' | 'unversioned' | 'around' | 'read'
const KINDS: readonly Kind[] = ['aside', 'through', 'unversioned', 'around', 'read']

type Step =
  | { readonly does: 'get' | 'delete' | 'refresh'; readonly key: string }
  | {
      readonly does: 'set' | 'update' | 'late'
      readonly key: string
      readonly value: number
      readonly which: number
      readonly backMs: number
    }
  | { readonly does: 'tag' | 'clear' }
  | { readonly does: 'blind' | 'forget'; readonly node: number }
  | { readonly does: 'wait'; readonly ms: number }

const key = fc.constantFrom(...KEYS)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constantFrom('get', 'delete', 'refresh'), key }) },
  {
    weight: 6,
    arbitrary: fc.record({
      does: fc.constantFrom('set', 'update', 'late'),
      key,
      value: fc.nat(9),
      which: fc.nat(2),
      // A change that an owner gets later than the others, but within the bound.
      backMs: fc.integer({ min: 1, max: BOUND_MS - 200 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom('tag', 'clear') }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom('blind', 'forget'), node: fc.nat(3) }) },
  { weight: 8, arbitrary: fc.record({ does: fc.constant('wait'), ms: fc.oneof(fc.nat(500), fc.nat(6_000)) }) },
)

async function fleet(kind: Kind) {
  const store = memoryStore<number>({ versioned: kind !== 'unversioned' })
  const choices: Record<Kind, () => StrategyChoice<number>> = {
    aside: () => cacheAside<number>(),
    through: () => writeThrough(store),
    unversioned: () => writeThrough(store),
    around: () => writeAround(store),
    read: () => readThrough(store),
  }
  const strategy = choices[kind]()
  const negative = kind === 'aside' ? {} : { negativeTtl: '5s' as const }
  const checked = await checkedTier<number>(
    { strategy, ttl: '8s', grace: '4s', ...negative, tags: (value) => [`t${value % 2}`] },
    { bound: BOUND_MS, share: 1, sweepEvery: 1_000 },
  )
  return { checked, store }
}

type Fleet = Awaited<ReturnType<typeof fleet>>

/** What a tier that keeps its promises may do, and what may befall its nodes. */
async function take(step: Step, kind: Kind, { checked, store }: Fleet): Promise<void> {
  const { cache, clock, nodes } = checked
  if (step.does === 'wait') return new Promise((resolve) => clock.after(step.ms, resolve))
  if (step.does === 'tag') return cache.deleteByTag('t1')
  if (step.does === 'clear') return cache.clear()
  if (step.does === 'blind') {
    // One at a time: with more of them the tier itself may refuse.
    for (const [nth, node] of nodes.entries()) node.answers = nth !== step.node || !node.answers
    return
  }
  if (step.does === 'forget') {
    for (const each of KEYS) await nodes[step.node]!.lay(`rt:c:${each}`, undefined)
    return
  }
  if (step.does === 'get') return void (await cache.get(step.key))
  if (step.does === 'refresh') return void (kind === 'aside' ? await cache.getOrSet(step.key, () => 7) : await cache.refresh(step.key))
  if (step.does === 'delete') {
    if (kind === 'read') await store.remove([{ key: step.key, floor: 0n }])
    return cache.delete(step.key)
  }
  if (!('value' in step)) throw new Error(`no such step: ${step.does}`)
  if (step.does === 'late') return late(step, kind, { checked, store })
  await write(step.key, step.value, kind, cache, store)
}

async function write(written: string, value: number, kind: Kind, cache: Cache<number>, store: Fleet['store']): Promise<void> {
  if (kind === 'read') {
    await store.save([{ key: written, value, floor: 0n }])
    await cache.delete(written)
  } else await cache.set(written, value)
}

/** One holder is the last to hear of a change: it has what it had until the time is over, and then what the others have. */
async function late(step: Extract<Step, { does: 'set' | 'update' | 'late' }>, kind: Kind, { checked, store }: Fleet): Promise<void> {
  const wire = `rt:c:${step.key}`
  const holders = await checked.holders(wire)
  const holder = holders[step.which % Math.max(1, holders.length)]
  const before = await holder?.take(wire)
  await write(step.key, step.value, kind, checked.cache, store)
  const after = await holder?.take(wire)
  if (holder === undefined || after === undefined) return
  await holder.lay(wire, before)
  checked.clock.after(step.backMs, () => void heard(holder, wire, after))
}

/** The node judges it, as it judges every change; one that was emptied meanwhile is not given it. */
async function heard(holder: CheckedTier<number>['nodes'][number], wire: string, bytes: Uint8Array): Promise<void> {
  if ((await holder.take(wire)) !== undefined) await holder.node.apply([{ op: 'put', key: wire, bytes, ttlMs: 12_000 }])
}

/** What lies back may carry a lease, which a reader waits for: so time goes on while a step lasts. */
async function lasting(step: Promise<void>, clock: FakeClock): Promise<void> {
  let isOver = false
  const over = step.finally(() => {
    isOver = true
  })
  for (await clock.settle(); !isOver; ) await clock.advance(20)
  await over
}

for (const kind of KINDS) {
  test(`histories in which every change arrives within the bound accuse nobody: ${kind}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const built = await fleet(kind)
        const { clock, told, check, tier } = built.checked
        for (const each of steps) await lasting(take(each, kind, built), clock)
        await clock.advance(6_000)
        assert.deepEqual(told, [])
        assert.equal(check.report().staleCopies, 0)
        await tier.close()
      }),
      RUNS,
    )
  })
}

test('a copy that is left behind for longer than the bound and the looks again is always found, and no other', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Kind>('aside', 'through'),
      fc.array(fc.constantFrom(...KEYS), { maxLength: 6 }),
      key,
      fc.nat(2),
      async (kind, written, left, which) => {
        const { checked } = await fleet(kind)
        const { cache, clock, told, tier } = checked
        for (const each of [...written, left]) await cache.set(each, 1)
        const holder = (await checked.holders(`rt:c:${left}`))[which]!
        const before = await holder.take(`rt:c:${left}`)
        await cache.set(left, 2)
        await holder.lay(`rt:c:${left}`, before)
        await clock.advance(7_500)
        assert.deepEqual(
          told.map((each) => [each.key, each.node]),
          [[left, holder.id]],
        )
        await tier.close()
      },
    ),
    { numRuns: 30 },
  )
})
