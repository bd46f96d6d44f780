/**
 * The short forms of `npm run consistency`, and the check while nodes fail.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runClean } from './consistency/clean-run.ts'
import { runFaulty } from './consistency/faulty-run.ts'
import { violationText } from './consistency/ground.ts'
import { BUSY_KEYS, runPlanted } from './consistency/planted-run.ts'

const LIVE = { timeout: 110_000 }

test('one stale replica among twenty thousand keys is found, and nothing else of what is read and written meanwhile', LIVE, async (t) => {
  const { planted, found, report, loadSeconds, sweepSeconds, operations } = await runPlanted({ keys: 20_000, seed: 7 })
  t.diagnostic(`written in ${loadSeconds.toFixed(1)} s, swept in ${sweepSeconds.toFixed(1)} s; ${report.nines.text}`)
  assert.deepEqual(
    found.map(({ cache, key, node, staleness }) => ({ cache, key, node, staleness })),
    [{ cache: 'stock', ...planted, staleness: 'overtaken' }],
  )
  assert.ok(report.checkedKeys >= 20_000 && report.checkedCopies >= 60_000, `${report.checkedKeys} keys, ${report.checkedCopies} copies`)
  assert.ok(report.checkedKeys <= 20_000 + BUSY_KEYS && operations > 10, `${operations} operations`)
  assert.equal(report.unjudged, 0)
})

test('a tier under load that keeps its promises is never accused, whatever its strategy', LIVE, async (t) => {
  const { found, reports, operations, missed, errors, seconds } = await runClean({ seed: 11, forMs: 0, copies: 5_000 })
  t.diagnostic(
    `${operations} operations in ${seconds.toFixed(1)} s; ${reports.map(({ cache, nines }) => `${cache} ${nines.text}`).join(', ')}`,
  )
  assert.deepEqual(found.map(violationText), [])
  assert.deepEqual([missed, errors], [0, {}])
  for (const { checkedCopies, sweeps } of reports) assert.ok(checkedCopies > 200 && sweeps > 2, `${checkedCopies} copies, ${sweeps} sweeps`)
})

test(
  'nodes that stop, or come back empty, are accused of nothing; one that comes back with what it had is, key by key',
  LIVE,
  async (t) => {
    const { meanwhile, falseAlarms, stale, returned, found, copies } = await runFaulty(3)
    t.diagnostic(`${copies} copies judged, ${meanwhile.length} stale in earnest while nodes failed, ${stale.size} brought back`)
    assert.deepEqual(falseAlarms.map(violationText), [])
    const foundThere = new Set(found.filter(({ node }) => node === returned).map(({ key }) => key))
    assert.deepEqual(foundThere, stale)
    assert.ok(stale.size > 30)
  },
)

test('the command line is checked before anything starts', () => {
  const main = fileURLToPath(new URL('./consistency/main.ts', import.meta.url))
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  assert.match(run('--help').stdout, /npm run consistency -- --clean --for 10m/)
  const wrong = run('--keys', 'many')
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /--keys: needs a whole number from 1000 to 5000000, but got: "many"/)
  assert.match(run('--clean', '--for', '10').stderr, /--for: needs a time from 5s to 24h, such as 10m, but got: "10"/)
  assert.match(run('--clean', '--keys', '5000').stderr, /--keys: is of the run without --clean/)
  assert.match(run('--sed', '1').stderr, /Known options: --keys --clean/)
})
