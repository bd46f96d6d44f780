import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { postgresTable } from '../src/index.ts'
import { RaceGround } from './races/race-ground.ts'
import { CARTS_TABLE, type Cart, type Increments, type UpdateOrder } from './races/update-worker.ts'
import { ForkedWorker } from './support/forked-worker.ts'

/** Updates of one cart by everybody at once, on real servers and in real processes: none is lost. */

const LIVE = { timeout: 110_000 }
const PROCESSES = 4
const CALLERS = 64
const EACH = 1
const WITHIN_MS = 100_000

let ground: RaceGround
let workers: ForkedWorker<UpdateOrder>[] = []
before(async () => {
  ground = await RaceGround.prepare()
  await ground.pool.query(postgresTable({ table: CARTS_TABLE }))
  workers = Array.from({ length: PROCESSES }, () => new ForkedWorker<UpdateOrder>(new URL('./races/update-worker.ts', import.meta.url)))
  await Promise.all(workers.map((each) => each.ask({ do: 'open', nodes: ground.nodes, database: ground.database }, WITHIN_MS)))
})
after(async () => {
  await Promise.all(workers.map((each) => each.close()))
  await ground.stop()
})

for (const cache of ['write-through', 'cache-aside']) {
  test(`${cache}: updates by 64 callers in each of four processes are counted, every one that was acknowledged`, LIVE, async (t) => {
    const startMs = performance.now()
    const increments = await Promise.all(
      workers.map((each) => each.ask<Increments>({ do: 'increment', cache, key: 'cart', callers: CALLERS, each: EACH }, WITHIN_MS)),
    )
    const acknowledged = increments.reduce((sum, each) => sum + each.acknowledged, 0)
    const conflicts = increments.reduce((sum, each) => sum + each.conflicts, 0)
    t.diagnostic(
      `${acknowledged} increments in ${((performance.now() - startMs) / 1_000).toFixed(1)} s, ${conflicts} conflicts told to callers`,
    )
    assert.deepEqual(
      increments.flatMap(({ unclear }) => unclear),
      [],
    )
    assert.equal(acknowledged, PROCESSES * CALLERS * EACH)
    const seen = await Promise.all(workers.map((each) => each.ask<number>({ do: 'read', cache, key: 'cart' }, WITHIN_MS)))
    assert.deepEqual(
      seen,
      workers.map(() => acknowledged),
    )
  })
}

test('what the database holds at the end is what was counted', LIVE, async () => {
  const { rows } = await ground.pool.query<{ value: Cart }>(`select value from ${CARTS_TABLE} where key = 'cart'`)
  assert.deepEqual(rows, [{ value: { count: PROCESSES * CALLERS * EACH } }])
})
