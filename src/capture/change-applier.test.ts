import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Histogram } from '../metrics/histogram.ts'
import type { RowChange } from '../strategy/strategy.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import type { CapturedCache } from './capture.ts'
import { ChangeApplier } from './change-applier.ts'
import { OwedKeys } from './owed-keys.ts'

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

function rig({ maxWaiting = 100 } = {}) {
  const clock = new FakeClock()
  const calls: string[] = []
  const held: boolean[] = []
  const reached: bigint[] = []
  const failures: string[] = []
  let down = false
  const cache: CapturedCache = {
    name: 'items',
    async applyChanges(changes: readonly RowChange<never>[]) {
      if (down) return new Map(changes.map(({ key }) => [key, { ok: false, error: new Error('no owner') }]))
      calls.push(changes.map(({ key, op, version }) => `${op} ${key} ${version}`).join(', '))
      return new Map(changes.map(({ key }) => [key, { ok: true }]))
    },
    deleteByTag: async (tags) => void calls.push(`tags ${tags}`),
    clear: async () => void calls.push('clear'),
  }
  const owed = new OwedKeys({ clock, random: seededRandom(4), hold: () => {}, failed: () => {} })
  const counts = { changes: 0, latency: new Histogram() }
  const applier = new ChangeApplier({
    clock,
    random: seededRandom(3),
    maxWaiting,
    counts,
    owed,
    told: (lsn) => reached.push(lsn),
    failed: ({ message }) => failures.push(message),
    hold: (full) => held.push(full),
  })
  const change = (op: 'insert' | 'update' | 'delete', key: string, version?: bigint, tags: readonly string[] = []) =>
    applier.change({ cache, changes: [{ key, op, version, rising: true, committedMs: 1 }], tags }, 10, clock.now())
  const lose = (lost: boolean) => {
    down = lost
  }
  return { applier, change, calls, held, reached, failures, counts, owed, clock, lose, cache }
}

test('changes of several transactions are one call, the last of several updates alone, and then all is told to the last mark', async () => {
  const { applier, change, calls, reached, counts } = rig()
  change('update', 'a', 1n)
  applier.mark(10n, 0)
  change('update', 'a', 2n)
  change('update', 'b', 1n)
  applier.mark(20n, 0)
  await settled()
  assert.deepEqual(calls, ['update a 2, update b 1'])
  assert.deepEqual([reached, counts.changes, counts.latency.count], [[20n], 3, 2])
})

test('a removal and a row made again are told one after the other, and so is the emptying of a table', async () => {
  const { applier, change, calls } = rig()
  change('delete', 'a')
  change('insert', 'a', 5n)
  change('update', 'a', 6n)
  applier.clear(
    { name: 'x', applyChanges: async () => new Map(), deleteByTag: async () => {}, clear: async () => void calls.push('clear') },
    0,
  )
  change('update', 'b', 1n)
  await settled()
  assert.deepEqual(calls, ['delete a undefined', 'insert a 5', 'update a 6', 'clear', 'update b 1'])
})

test('what the nodes do not take is told again until they do, and nothing counts as told before', async () => {
  const { applier, change, calls, reached, failures, clock, lose } = rig()
  lose(true)
  change('update', 'a', 1n)
  applier.mark(10n, clock.now())
  await settled()
  await clock.advance(50)
  assert.deepEqual([calls, reached, failures.length, applier.oldestMs], [[], [], 2, 0 + clock.now() - 50])
  lose(false)
  await clock.advance(2_000)
  assert.deepEqual([calls, reached, applier.oldestMs], [['update a 1'], [10n], undefined])
})

test('whoever fills the line is asked to pause when it is full, and to go on when it is half empty', async () => {
  const { applier, change, held, lose, clock } = rig({ maxWaiting: 4 })
  lose(true)
  for (const key of ['a', 'b', 'c']) change('update', key, 1n)
  assert.deepEqual(held, [])
  change('update', 'd', 1n)
  assert.deepEqual([held, applier.waiting], [[true], 4])
  lose(false)
  await settled()
  await clock.advance(2_000)
  assert.deepEqual([held, applier.waiting], [[true, false], 0])
})

test('transactions of which nothing is told, and emptied tables, fill the line as well', async () => {
  const { applier, change, held, lose, clock, cache } = rig({ maxWaiting: 4 })
  lose(true)
  change('update', 'a', 1n)
  await settled()
  for (let lsn = 10n; lsn < 13n; lsn++) applier.mark(lsn, clock.now())
  for (let table = 0; table < 3; table++) applier.clear(cache, clock.now())
  assert.deepEqual(held, [])
  applier.mark(20n, clock.now())
  assert.deepEqual([held, applier.waiting], [[true], 1])
  lose(false)
  await settled()
  await clock.advance(2_000)
  assert.deepEqual([held, applier.waiting], [[true, false], 0])
})

test('a line that is stopped tells nothing more', async () => {
  const { applier, change, calls, reached, clock, lose } = rig()
  lose(true)
  change('update', 'a', 1n)
  applier.mark(10n, 0)
  await settled()
  const stopping = applier.stop()
  lose(false)
  await clock.advance(5_000)
  await stopping
  change('update', 'b', 1n)
  await settled()
  assert.deepEqual([calls, reached], [[], []])
})

test('what is being told when a line is stopped counts as told to nobody, and is owed to nobody', async () => {
  const { applier, change, reached, counts, owed, cache } = rig()
  const answers: (() => void)[] = []
  cache.applyChanges = async (changes, options) => {
    await new Promise<void>((resolve) => answers.push(resolve))
    return new Map(changes.map(({ key }) => [key, options?.writes === 'all' ? { ok: false, error: new Error('2 of 3') } : { ok: true }]))
  }
  change('update', 'a', 1n)
  applier.mark(10n, 0)
  await settled()
  const stopping = applier.stop()
  for (let told = 0; told < 2; told++) {
    answers.pop()!()
    await settled()
  }
  await stopping
  assert.deepEqual([reached, counts.changes, owed.size], [[], 0, 0])
})

test('however changes follow one another, those of a key are told in their order, and the last of them is', async () => {
  const ops = fc.constantFrom('insert', 'update', 'delete')
  const changes = fc.array(fc.record({ op: ops, key: fc.constantFrom('a', 'b', 'c'), gap: fc.boolean() }), { maxLength: 60 })
  await fc.assert(
    fc.asyncProperty(changes, async (given) => {
      const { change, calls } = rig({ maxWaiting: 1_000 })
      for (const [at, { op, key, gap }] of given.entries()) {
        change(op as 'update', key, BigInt(at + 1))
        if (gap) await settled()
      }
      await settled()
      for (const key of ['a', 'b', 'c']) {
        const told = calls.flatMap((call) => call.split(', ')).filter((each) => each.split(' ')[1] === key)
        const all = given.flatMap((each, at) => (each.key === key ? [`${each.op} ${key} ${at + 1}`] : []))
        assert.deepEqual(
          told,
          all.filter((each) => told.includes(each)),
          'in order',
        )
        assert.equal(told.at(-1), all.at(-1))
        // Only updates that another update follows may be left out.
        for (const [at, each] of all.entries())
          assert.ok(told.includes(each) || (each.startsWith('update') && all[at + 1]!.startsWith('update')))
      }
    }),
    { numRuns: 200, seed: 11 },
  )
})
