import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isBuilt, namesWithoutRow, rowOf } from './chaos/all-rows.ts'
import { unmeasured } from './chaos/judge.ts'
import { ROW_NAMES } from './chaos/row-names.ts'
import { reportOf } from './chaos/table.ts'

const run = (file: string, ...args: string[]) =>
  spawnSync(process.execPath, [fileURLToPath(new URL(`./chaos/${file}`, import.meta.url)), ...args], { encoding: 'utf8' })

test('every row that is named has its code, and one without would be reported as missing and not pass', () => {
  assert.deepEqual(namesWithoutRow(), [])
  assert.equal(ROW_NAMES.length, new Set(ROW_NAMES).size)
  assert.match(JSON.stringify(rowOf('node-eaten' as never)), /its row is missing/)
})

test('every row is built, and what one that is not would say has all that is reported', () => {
  assert.deepEqual(
    ROW_NAMES.filter((name) => !isBuilt(name)),
    [],
  )
  const report = reportOf(unmeasured('node-added', 'not built yet'))
  assert.deepEqual(Object.keys(report), ['name', 'ok', 'requests', 'failed', 'success', 'p999Ms', 'recoveryMs', 'stale', 'lost', 'why'])
  assert.deepEqual([report.ok, report.why], [false, 'not built yet'])
})

test('the command lines of chaos and soak are checked before anything starts', () => {
  assert.match(run('main.ts', '--help').stdout, /npm run chaos -- --only node-killed/)
  const names = run('main.ts', '--list')
    .stdout.split('\n')
    .map((line) => line.split(' ')[0])
  assert.deepEqual(names.slice(0, ROW_NAMES.length), [...ROW_NAMES])
  const wrong = run('main.ts', '--only', 'node-eaten')
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /--only: needs the name of a row \(--list tells them\), but got: "node-eaten"/)
  assert.match(run('main.ts', '--for', 'ever').stderr, /--for: needs a whole number from 1 to 3600, but got: "ever"/)
  assert.match(run('main.ts', '--for', '3600').stderr, /--for: needs at most 200 at 2000 requests\/s with these rows, .*, but got: "3600"/)
  assert.match(run('main.ts', '--for', '3600', '--only', 'node-slow').stderr, /--for: needs at most 2000 at 2000 requests\/s/)
  assert.match(run('main.ts', '--fro', '1').stderr, /Known options: --list --only --for/)
  assert.match(run('soak.ts', '--help').stdout, /npm run soak/)
  assert.match(run('soak.ts', '--for', '1').stderr, /--for: needs a whole number from 10 to 86400, but got: "1"/)
  assert.match(run('soak.ts', '--for', '86400').stderr, /--for: needs at most 2000 at 2000 requests\/s, .*, but got: "86400"/)
})
