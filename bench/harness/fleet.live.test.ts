import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { findRedisServer } from 'ringtail/testing'
import { Fleet } from './fleet.ts'

test('who needs a program that is not installed does not take part, which is told; the others do', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-bench-path-'))
  const server = findRedisServer()!
  for (const path of [server, '/bin/rm']) symlinkSync(path, join(folder, basename(path)))
  const before = process.env.PATH
  process.env.PATH = folder
  const fleet = new Fleet(true)
  try {
    const entrants = await fleet.entrants(['lru-cache', 'redis-benchmark'])
    assert.deepEqual(
      entrants.map(({ name }) => name),
      ['lru-cache'],
    )
    const [missing, ...others] = fleet.missing
    assert.deepEqual(others, [])
    assert.match(missing!, /^redis-benchmark: needs redis-benchmark or valkey-benchmark on the PATH/)
  } finally {
    process.env.PATH = before
    await fleet.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
