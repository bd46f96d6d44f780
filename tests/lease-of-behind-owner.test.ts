import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stampOf } from '../src/codec/envelope.ts'
import type { Store } from '../src/store/store.ts'
import { writeThrough } from '../src/strategy/write-through.ts'
import { cacheOn } from './support/cache-bench.ts'
import { HintingFleet } from './support/hinting-fleet.ts'

/** A load whose lease is granted by a first owner that lacks what the read saw on another. */

for (const standing of [{ behind: true }, { behind: false }]) {
  test(`a row that was deleted is loaded once, and gone on all owners (${standing.behind ? 'behind' : 'returning'})`, async (t) => {
    const fleet = new HintingFleet()
    t.after(() => fleet.stop())
    const process = await fleet.process()
    await fleet.pass(1_000)
    process.catchUp.stop()
    let loads = 0
    let isThere = true
    const store = {
      name: 'db',
      versioned: true,
      load: async (keys: readonly string[]) => {
        loads++
        return { rows: new Map(isThere ? keys.map((key) => [key, { value: 'x', version: 5n }]) : []) }
      },
      save: async () => [],
      remove: async () => [],
      stats: () => [],
    } as unknown as Store<string>
    const options = { strategy: writeThrough(store), ttl: '10s', grace: '10m', negativeTtl: '30s', jitter: 0 } as const
    const { cache } = cacheOn<string>(options, process.cluster as never, fleet.clock, 't')
    const get = async (): Promise<string | undefined> => {
      const getting = cache.get('0')
      await fleet.pass(400)
      return getting
    }
    fleet.server(0).node.mishaps.down()
    assert.equal(await get(), 'x')
    fleet.server(0).node.mishaps.up()
    await fleet.pass(11_000)
    isThere = false
    process.avoid('n0', standing.behind)
    loads = 0
    const got = []
    for (let nth = 0; nth < 8; nth++) got.push(await get())
    // The first is served what is stale, while it is loaded behind.
    assert.deepEqual(got, ['x', ...new Array(7).fill(undefined)])
    assert.equal(loads, 1)
    const versions = await Promise.all([0, 1, 2].map(async (nth) => stampOf((await fleet.server(nth).bytes('rt:t:0'))!).version))
    assert.deepEqual(versions, [5n, 5n, 5n])
  })
}
