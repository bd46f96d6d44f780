/**
 * The part of a store's contract that is about removals which outlive their rows (`Store.remembersRemovals`). `store-conformance.ts` runs it.
 *
 * The law is one: of the ordered writes of a key, saves and removals, the highest version decides, in whatever order they come to the store, and
 * however many at once.
 */
import assert from 'node:assert/strict'
import { systemClock } from '../clock.ts'
import type { Version } from '../entry.ts'
import type { SaveStatus } from '../store/store.ts'
import { versionAt } from '../version-clock.ts'
import { seededRandom } from './seeded-random.ts'
import { law, type StoreConformance, type Subject, saved } from './store-subject.ts'

const DAY_MS = 86_400_000

export function rememberedRemovals<V>(suite: StoreConformance<V>): void {
  const now = (): Version => versionAt(systemClock.now())

  law(suite, 'an ordered save from before an ordered removal stays out, and one from after it comes in', async (subject) => {
    const at = now()
    for (const [key, isThere] of [
      ['there', true],
      ['absent', false],
    ] as const) {
      if (isThere) saved(await subject.saveOlder(key, 'first', at))
      saved(await subject.removeOlder(key, at + 10n))
      assert.deepEqual(await subject.saveOlder(key, 'late', at + 9n), { state: 'conflict', version: at + 10n })
      assert.equal(await subject.load(key), undefined)
      assert.deepEqual(await subject.saveOlder(key, 'later', at + 11n), { state: 'saved', version: at + 11n })
      await subject.holds(key, 'later')
    }
  })

  law(suite, 'an ordered save from before a plain removal stays out, and one from after it comes in', async (subject) => {
    for (const [key, isThere] of [
      ['there', true],
      ['absent', false],
    ] as const) {
      if (isThere) saved(await subject.save(key, 'first', now()))
      const version = saved(await subject.remove(key, now()))
      assert.deepEqual(await subject.saveOlder(key, 'late', version - 1n), { state: 'conflict', version })
      assert.equal(await subject.load(key), undefined)
      assert.deepEqual(await subject.saveOlder(key, 'later', version + 1n), { state: 'saved', version: version + 1n })
      await subject.holds(key, 'later')
    }
  })

  law(suite, 'an older removal does not lower what is remembered', async (subject) => {
    const at = now()
    saved(await subject.removeOlder('a', at + 10n))
    assert.deepEqual(await subject.removeOlder('a', at + 5n), { state: 'saved', version: at + 5n, absent: true })
    assert.deepEqual(await subject.saveOlder('a', 'late', at + 9n), { state: 'conflict', version: at + 10n })
    assert.equal(await subject.load('a'), undefined)
  })

  law(suite, 'a plain save is not held against removals', async (subject) => {
    const version = saved(await subject.remove('a', now()))
    assert.ok(saved(await subject.save('a', 'again', 1n)) > version)
    await subject.holds('a', 'again')
  })

  law(suite, 'a batch holds each save against its own key’s removal', async (subject) => {
    const at = now()
    await subject.store.remove(['a', 'c'].map((key) => ({ key, floor: at + 10n, ifOlder: true })))
    const statuses = await subject.store.save(
      ['a', 'b', 'c'].map((key, nth) => ({ key, value: subject.wrap(key), floor: at + 9n + BigInt(nth), ifOlder: true })),
    )
    assert.deepEqual(statuses, [
      { state: 'conflict', version: at + 10n },
      { state: 'saved', version: at + 10n },
      { state: 'saved', version: at + 11n },
    ])
  })

  law(suite, 'a removal of long ago keeps older saves out all the same, forgotten or not', async (subject) => {
    const longAgo = versionAt(systemClock.now() - 30 * DAY_MS)
    await subject.store.remove(Array.from({ length: 50 }, (_, nth) => ({ key: `k${nth}`, floor: longAgo + 10n, ifOlder: true })))
    await subject.store.remove(Array.from({ length: 50 }, (_, nth) => ({ key: `new${nth}`, floor: now(), ifOlder: true })))
    for (const key of ['k0', 'k49']) {
      const status = await subject.saveOlder(key, 'late', longAgo)
      assert.ok(status.state === 'conflict' || (status.state === 'failed' && status.forGood === true), status.state)
      assert.equal(await subject.load(key), undefined)
    }
  })

  law(suite, 'of ordered saves and removals at once the highest of each key decides', async (subject) => {
    for (let seed = 1; seed <= 8; seed++) await storm(subject, seed, now())
  })
}

/** Batches of all keys, each in an order of its own, all at once. */
async function storm<V>(subject: Subject<V>, seed: number, at: Version): Promise<void> {
  const random = seededRandom(seed)
  const keys = Array.from({ length: 12 }, (_, nth) => `${seed}-${nth}`)
  const batches = shuffled(
    Array.from({ length: 12 }, (_, nth) => ({ removes: nth % 2 === 0, version: at + BigInt(nth) })),
    random,
  )
  const statuses = await Promise.all(
    batches.map(({ removes, version }) => {
      const items = shuffled(keys, random).slice(0, 8)
      const write = items.map((key) => ({ key, value: subject.wrap(String(version)), floor: version, ifOlder: true }))
      const asked: Promise<SaveStatus[]> = removes ? subject.store.remove(write) : subject.store.save(write)
      return asked.then((all) => all.map((status, nth) => ({ status, key: items[nth]!, version, removes })))
    }),
  )
  for (const key of keys) {
    const writes = statuses.flat().filter((write) => write.key === key)
    for (const { status } of writes) assert.ok(status.state === 'saved' || status.state === 'conflict', JSON.stringify({ key, seed }))
    const newest = writes.reduce((a, b) => (a.version > b.version ? a : b), { version: 0n, removes: true })
    const row = await subject.load(key)
    const right = newest.removes ? undefined : { value: subject.wrap(String(newest.version)), version: newest.version }
    assert.deepEqual(row, right, `${key} of seed ${seed}`)
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
