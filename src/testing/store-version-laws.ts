/**
 * The part of a store's contract that orders writes: versions, expectations, removals. `store-conformance.ts` runs it.
 */
import assert from 'node:assert/strict'
import { systemClock } from '../clock.ts'
import type { Version } from '../entry.ts'
import { versionAt } from '../version-clock.ts'
import type { StoreConformance } from './store-subject.ts'
import { law, saved } from './store-subject.ts'

export function versions<V>(suite: StoreConformance<V>): void {
  law(suite, 'each save of a key is of a higher version, at or above its floor', async (subject) => {
    let last = 0n
    const now = saved(await subject.save('a', 0))
    for (const floor of [1n, now + 1_000_000n, now, 0n, now + 2n ** 40n]) {
      const version = saved(await subject.save('a', String(floor), floor))
      assert.ok(version > last && version >= floor, `${version} after ${last}, floor ${floor}`)
      assert.equal((await subject.load('a'))?.version, version)
      last = version
    }
  })

  law(suite, 'concurrent saves of one key are of distinct versions, and the highest is the row', async (subject) => {
    const data = Array.from({ length: 40 }, (_, index) => index)
    const results = await Promise.all(data.map(async (datum) => ({ datum, version: saved(await subject.save('a', datum)) })))
    assert.equal(new Set(results.map(({ version }) => version)).size, data.length)
    const newest = results.reduce((a, b) => (a.version > b.version ? a : b))
    assert.deepEqual(await subject.load('a'), { value: subject.wrap(newest.datum), version: newest.version })
  })

  law(suite, 'batches over the same keys in other orders wait for each other, never for ever', async (subject) => {
    const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`)
    const orders = Array.from({ length: 8 }, (_, turn) => [...keys.slice(turn * 6), ...keys.slice(0, turn * 6)])
    const batch = (order: string[], turn: number) => (turn % 2 === 0 ? order : order.reverse())
    const all = await Promise.all(
      orders.map((order, turn) => subject.store.save(batch(order, turn).map((key) => ({ key, value: subject.wrap(turn), floor: 1n })))),
    )
    for (const status of all.flat()) saved(status)
  })

  law(suite, 'a version out of range fails alone', async (subject) => {
    const statuses = await subject.store.save([
      { key: 'a', value: subject.wrap(1), floor: 2n ** 63n },
      { key: 'b', value: subject.wrap(2), floor: -1n },
      { key: 'c', value: subject.wrap(3), floor: 1n },
    ])
    assert.deepEqual(
      statuses.map(({ state }) => state),
      ['failed', 'failed', 'saved'],
    )
  })
}

export function ordered<V>(suite: StoreConformance<V>): void {
  // Of now, for a store may take what is older than it remembers for too old.
  const low = versionAt(systemClock.now() - 60_000)
  const high = versionAt(systemClock.now() + 60_000)

  law(
    suite,
    'what was ordered before takes the place of older rows alone, under just its version, also when it is sent again',
    async (subject) => {
      const save = (datum: unknown, floor: Version) => subject.saveOlder('a', datum, floor)
      assert.deepEqual(await save('first', high), { state: 'saved', version: high })
      assert.deepEqual(await save('again', high), { state: 'saved', version: high })
      await subject.holds('a', 'first')
      assert.deepEqual(await save('late', low), { state: 'conflict', version: high })
      await subject.holds('a', 'first')
      assert.deepEqual(await save('next', high + 1n), { state: 'saved', version: high + 1n })
      assert.deepEqual(await subject.load('a'), { value: subject.wrap('next'), version: high + 1n })
    },
  )

  law(suite, 'an ordered removal removes what is not newer, and finds nothing the second time', async (subject) => {
    const remove = (floor: Version) => subject.removeOlder('a', floor)
    const version = saved(await subject.save('a', 1, high))
    assert.deepEqual(await remove(low), { state: 'conflict', version })
    await subject.holds('a', 1)
    assert.deepEqual(await remove(version), { state: 'saved', version })
    assert.equal(await subject.load('a'), undefined)
    assert.deepEqual(await remove(version), { state: 'saved', version, absent: true })
  })

  law(suite, 'a batch judges each ordered write for itself', async (subject) => {
    const version = saved(await subject.save('a', 1, high))
    const statuses = await subject.store.save([
      { key: 'a', value: subject.wrap('late'), floor: low, ifOlder: true },
      { key: 'b', value: subject.wrap('new'), floor: low, ifOlder: true },
      { key: 'c', value: subject.wrap('plain'), floor: low },
      { key: 'd', value: subject.wrap('both'), floor: low, ifOlder: true, expected: 0n },
    ])
    assert.deepEqual(statuses.slice(0, 2), [
      { state: 'conflict', version },
      { state: 'saved', version: low },
    ])
    saved(statuses[2])
    assert.equal(statuses[3]!.state, 'failed')
    await subject.holds('b', 'new')
    await subject.holds('c', 'plain')
    assert.equal(await subject.load('d'), undefined)
  })
}

export function expectations<V>(suite: StoreConformance<V>): void {
  law(suite, 'expected 0 saves only where there is no row', async (subject) => {
    const version = saved(await subject.save('a', 'first', 1n, 0n))
    assert.deepEqual(await subject.save('a', 'second', 1n, 0n), { state: 'conflict', version })
    await subject.holds('a', 'first')
  })

  law(suite, 'an expected version saves only over exactly that version', async (subject) => {
    const first = saved(await subject.save('a', 1))
    assert.deepEqual(await subject.save('a', 'wrong', 1n, first + 1n), { state: 'conflict', version: first })
    const second = saved(await subject.save('a', 2, 1n, first))
    assert.ok(second > first)
    assert.deepEqual(await subject.save('a', 'late', 1n, first), { state: 'conflict', version: second })
    await subject.holds('a', 2)
    assert.deepEqual(await subject.save('nobody', 1, 1n, first), { state: 'conflict', version: 0n })
    assert.equal(await subject.load('nobody'), undefined)
  })

  law(suite, 'a batch judges each save by its own expectation', async (subject) => {
    const old = saved(await subject.save('old', 0))
    const also = saved(await subject.save('also', 0))
    const save = (key: string, expected?: Version) => ({ key, value: subject.wrap(`new ${key}`), floor: 1n, expected })
    const statuses = await subject.store.save([
      save('free'),
      save('old', old),
      save('also', also + 5n),
      save('made', 0n),
      save('nobody', 9n),
    ])
    assert.deepEqual(
      statuses.map(({ state }) => state),
      ['saved', 'saved', 'conflict', 'saved', 'conflict'],
    )
    await subject.holds('free', 'new free')
    await subject.holds('old', 'new old')
    await subject.holds('also', 0)
    await subject.holds('made', 'new made')
    assert.equal(await subject.load('nobody'), undefined)
  })

  law(suite, 'of concurrent saves with one expectation exactly one is saved', async (subject) => {
    for (const expected of [0n, saved(await subject.save('there', 0))]) {
      const key = expected === 0n ? 'made' : 'there'
      const statuses = await Promise.all(Array.from({ length: 20 }, (_, turn) => subject.save(key, turn, 1n, expected)))
      const winners = statuses.filter(({ state }) => state === 'saved')
      assert.equal(winners.length, 1)
      const version = saved(winners[0])
      const losers = statuses.filter((status) => status !== winners[0])
      for (const status of losers) assert.deepEqual(status, { state: 'conflict', version })
      await subject.holds(key, statuses.indexOf(winners[0]!))
    }
  })

  law(suite, 'increments by compare-and-set are all counted', async (subject) => {
    let version = saved(await subject.save('count', { n: 0 }))
    for (let n = 1; n <= 10; n++) version = saved(await subject.save('count', { n }, 1n, version))
    await subject.holds('count', { n: 10 })
  })
}

export function removals<V>(suite: StoreConformance<V>): void {
  law(suite, 'a removal is of a higher version than the row that it removed, at or above its floor', async (subject) => {
    const first = saved(await subject.save('a', 1))
    const removal = saved(await subject.remove('a', 0n))
    assert.ok(removal > first)
    assert.equal(await subject.load('a'), undefined)
    const again = saved(await subject.save('b', 1))
    assert.ok(saved(await subject.remove('b', again + 2n ** 30n)) >= again + 2n ** 30n)
  })

  law(suite, 'removing what is not there succeeds, at or above the floor', async (subject) => {
    assert.ok(saved(await subject.remove('nobody', 77n)) >= 77n)
    assert.equal(await subject.load('nobody'), undefined)
  })

  law(suite, 'a row that comes back is above its removal, even with an old floor', async (subject) => {
    saved(await subject.save('a', 1))
    const removal = saved(await subject.remove('a', 5n))
    const second = saved(await subject.remove('a', 5n))
    assert.ok(second >= removal)
    const back = saved(await subject.save('a', 2, 2n, 0n))
    assert.ok(back > second, `${back} after ${second}`)
    assert.equal((await subject.load('a'))?.version, back)
  })

  law(suite, 'saves and removals at once leave what their versions say', async (subject) => {
    saved(await subject.save('a', 'start'))
    const changes = await Promise.all(
      Array.from({ length: 30 }, async (_, turn) =>
        turn % 3 === 0
          ? { datum: undefined, version: saved(await subject.remove('a')) }
          : { datum: turn, version: saved(await subject.save('a', turn)) },
      ),
    )
    const row = await subject.load('a')
    if (row === undefined) return
    const made = changes.find(({ version, datum }) => version === row.version && datum !== undefined)
    assert.deepEqual(row.value, subject.wrap(made?.datum))
  })
}

export function withoutVersions<V>(suite: StoreConformance<V>): void {
  law(suite, 'versions are 0 throughout', async (subject) => {
    assert.equal(saved(await subject.save('a', 1, 5n)), 0n)
    assert.equal((await subject.load('a'))?.version, 0n)
    assert.equal(saved(await subject.remove('a', 5n)), 0n)
    assert.equal(saved(await subject.remove('a', 5n)), 0n)
    assert.equal(await subject.load('a'), undefined)
  })

  law(suite, 'a conditional save is refused, not ignored', async (subject) => {
    for (const expected of [0n, 1n]) {
      const status = await subject.save('a', 1, 1n, expected)
      assert.ok(status.state === 'failed' && status.error.code === 'UNSUPPORTED')
    }
    assert.equal(await subject.load('a'), undefined)
  })
}
