/**
 * The comparison of eviction policies runs whole, on made traces; its figures are those of a smoke run.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('./eviction.ts', import.meta.url))

function run(...args: string[]) {
  return spawnSync(process.execPath, ['--conditions=ringtail-source', MAIN, ...args], { encoding: 'utf8', timeout: 60_000 })
}

test('a smoke run prints one JSON object with a hit rate for every trace, size and policy', () => {
  const { status, stdout, stderr } = run('--quick', '--json')
  assert.equal(status, 0, stderr)
  const { figures } = JSON.parse(stdout) as { figures: { policy: string; trace: string; hitRate: number }[] }
  assert.equal(figures.length, 3 * 2 * 6)
  for (const { hitRate } of figures) assert.ok(hitRate > 0 && hitRate < 100)
})

test('what is wrong on the command line is said, with exit code 2', () => {
  for (const args of [['--misspelt'], ['--data', 'no/such/folder']]) {
    const { status, stderr } = run(...args)
    assert.equal(status, 2)
    assert.match(stderr, /^bench:eviction: /)
  }
  assert.match(run('--help').stdout, /--data FOLDER/)
})
