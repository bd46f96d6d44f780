import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import type { CapturedCache } from './capture.ts'
import { ChangeBatch } from './change-batch.ts'
import { OwedKeys } from './owed-keys.ts'
import { Progress } from './progress.ts'

/** A cache of three owners of every key, one of which is out of reach for a while. */
function rig({ maxKeys = 100 } = {}) {
  const clock = new FakeClock()
  const progress = new Progress()
  const calls: string[] = []
  let away = true
  let clears = true
  const cache: CapturedCache = {
    name: 'items',
    async applyChanges(changes, options) {
      const ok = options?.writes !== 'all' || !away
      calls.push(`${options?.writes ?? 'own'} ${changes.map(({ key, version }) => `${key} ${version}`)}${ok ? '' : ' missed'}`)
      return new Map(changes.map(({ key }) => [key, ok ? { ok } : { ok, error: new Error('2 of 3 owners') }]))
    },
    deleteByTag: async () => {},
    async clear() {
      calls.push('clear')
      if (!clears) throw new Error('no owner')
    },
  }
  const owed = new OwedKeys({ clock, random: seededRandom(2), hold: (held) => progress.hold(held), failed: () => {}, maxKeys })
  const tell = async (key: string, version: bigint) => {
    const batch = new ChangeBatch()
    batch.take({ cache, changes: [{ key, op: 'update', version, rising: true, committedMs: 1 }], tags: [] })
    await batch.tell(owed)
  }
  const back = () => {
    away = false
  }
  const clearing = (works: boolean) => {
    clears = works
  }
  return { owed, progress, tell, calls, clock, cache, back, clearing }
}

test('what a node has missed is told without it, told again until it has it, and does not count as told before', async () => {
  const { owed, progress, tell, calls, clock, back } = rig()
  progress.reach(10n)
  await tell('a', 1n)
  progress.reach(20n)
  assert.deepEqual(calls, ['all a 1 missed', 'own a 1'])
  assert.deepEqual([owed.size, progress.place], [1, 10n])
  await tell('b', 2n)
  assert.equal(calls.at(-1), 'own b 2', 'the node is not waited for again')
  await clock.advance(3_000)
  assert.deepEqual([calls.at(-1), progress.place], ['all a undefined,b undefined missed', 10n])
  back()
  await clock.advance(1_000)
  assert.deepEqual([calls.at(-1), owed.size, progress.place], ['all a undefined,b undefined', 0, 20n])
  await tell('c', 3n)
  assert.equal(calls.at(-1), 'all c 3')
})

test('of more keys than are kept the whole cache is emptied, once its nodes are back', async () => {
  const { owed, progress, tell, calls, clock, back } = rig({ maxKeys: 2 })
  for (const key of ['a', 'b', 'c', 'd']) await tell(key, 1n)
  progress.reach(20n)
  await clock.advance(5_000)
  assert.ok(owed.size <= 3 && !calls.includes('clear'))
  back()
  await clock.advance(1_000)
  assert.deepEqual([calls.at(-1), owed.size, progress.place], ['clear', 0, 20n])
})

test('emptying a cache makes up for what is owed to it, if its nodes take that', async () => {
  const { owed, progress, tell, cache, clearing } = rig()
  await tell('a', 1n)
  progress.reach(20n)
  clearing(false)
  await assert.rejects(owed.clearAll())
  assert.deepEqual([owed.size, progress.place], [1, 0n])
  clearing(true)
  await owed.clear(cache)
  assert.deepEqual([owed.size, progress.place], [0, 20n])
})

test('a key that changes while it is told again is owed anew', async () => {
  const { owed, tell, clock, back, cache, calls } = rig()
  await tell('a', 1n)
  const apply = cache.applyChanges
  back()
  cache.applyChanges = async (changes, options) => {
    cache.applyChanges = apply
    owed.add(cache, ['a'])
    return apply(changes, options)
  }
  await clock.advance(40)
  await clock.advance(2_000)
  assert.deepEqual([owed.size, calls.filter((call) => call === 'all a undefined').length], [0, 2])
})

test('what is forgotten holds nothing, and is not told again', async () => {
  const { owed, progress, tell, calls, clock, back } = rig()
  await tell('a', 1n)
  progress.reach(20n)
  assert.deepEqual([owed.size, progress.place], [1, 0n])
  owed.forget()
  assert.deepEqual([owed.size, progress.place], [0, 20n])
  back()
  const told = calls.length
  await clock.advance(60_000)
  assert.equal(calls.length, told)
})

test('what is forgotten while it is told again goes no further', async () => {
  const { owed, progress, tell, calls, clock, cache, back } = rig({ maxKeys: 2 })
  for (const key of ['a', 'b', 'c']) await tell(key, 1n)
  progress.reach(20n)
  let answer = () => {}
  const apply = cache.applyChanges
  cache.applyChanges = async (changes, options) => {
    await new Promise<void>((resolve) => (answer = resolve))
    return apply(changes, options)
  }
  await clock.advance(50)
  owed.forget()
  back()
  answer()
  await clock.advance(60_000)
  assert.deepEqual([owed.size, progress.place, calls.at(-1)], [0, 20n, 'all a undefined,b undefined'], 'the whole cache is not emptied')
})
