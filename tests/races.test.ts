import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { violationText } from '../src/testing/index.ts'
import { SHORT_RACE } from './races/race-plan.ts'
import { runRace } from './races/race-run.ts'

const LIVE = { timeout: 110_000 }

/** The short form of `npm run races`. */
test(
  'four processes race for hot keys: no read is older than promised, nothing deleted comes back, replicas are equal at rest',
  LIVE,
  async (t) => {
    const report = await runRace(SHORT_RACE)
    const { counts, caches, replicas, seconds } = report
    t.diagnostic(`${counts.operations} operations in ${seconds.toFixed(1)} s, seed ${SHORT_RACE.seed}`)
    const found = [...Object.values(caches).flatMap(({ violations }) => violations), ...replicas.violations]
    assert.deepEqual(found.map(violationText), [])
    assert.equal(report.violations, 0)
    // It was a race: nobody gave up, loads and saves were held, and all caches were raced for, near ones and with sessions too.
    assert.ok(counts.operations >= SHORT_RACE.enough)
    assert.ok(counts.heldLoads > 10 && counts.heldSaves > 10, `held: ${counts.heldLoads} loads, ${counts.heldSaves} saves`)
    assert.equal(counts.holdsGivenUp, 0)
    for (const { operations } of Object.values(caches)) assert.ok(operations > counts.operations / 20)
    assert.ok(counts.nearHits > 50 && counts.served > 500, `${counts.nearHits} near hits, ${counts.served} operations with a session`)
    // An update of a hot key may lose 16 times; who is told so is not answered wrongly. Nothing else may fail.
    const { CONFLICT = 0, ...errors } = counts.errors
    assert.deepEqual(errors, {})
    assert.ok(CONFLICT < counts.operations / 1_000, `${CONFLICT} updates gave up`)
  },
)

test('the command line of the races is checked before anything starts', () => {
  const main = fileURLToPath(new URL('./races/main.ts', import.meta.url))
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  assert.match(run('--help').stdout, /npm run races -- --operations/)
  const wrong = run('--operations', 'many')
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /--operations: needs a whole number from 1000 to 16000000, but got: "many"/)
  assert.match(run('--without', 'luck').stderr, /--without: needs one of version-check, lease-check, tombstone, but got: "luck"/)
  assert.match(run('--sed', '1').stderr, /Known options: --operations --seed/)
})
