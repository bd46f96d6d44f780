/**
 * The benchmark runs whole: every workload, every peer, real servers. Its figures are those of a smoke run and are not looked at.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Report } from './harness/report.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const PEERS = ['ioredis', 'ioredis-auto-pipelining', 'node-redis', 'bentocache', 'cache-manager']
const WORKLOADS = ['hits-256', 'hits-64', 'hits-1', 'writes-256']
const LOADING = ['misses-64', 'misses-1']
const CARTS = ['cart-updates-64', 'cart-updates-1']
const LOADING_PEERS = ['ringtail-plain', 'bentocache', 'cache-manager']

interface Ended {
  readonly code: number | string | null
  readonly stdout: string
  readonly stderr: string
}

function bench(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=ringtail-source', MAIN, ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr })
    })
  })
}

test('a smoke run prints one JSON object with a row for every workload and peer', async () => {
  const { code, stdout, stderr } = await bench('--quick', '--json')
  assert.equal(code, 0, stderr)
  const report: Report = JSON.parse(stdout)
  const rowNames = WORKLOADS.flatMap((workload) =>
    ['', ' (ringtail-on-three)'].flatMap((ours) => PEERS.map((peer) => `${workload}/${peer}${ours}`)),
  ).concat(
    'near-hits/bentocache-memory',
    LOADING.flatMap((workload) => LOADING_PEERS.map((peer) => `${workload}/${peer}`)),
    'journal-256',
    CARTS.map((workload) => `${workload}/postgres`),
  )
  assert.deepEqual(
    report.rows.map(({ name }) => name),
    rowNames,
  )
  for (const { value, ours, peer, unit, gated } of report.rows) {
    assert.ok(value > 0 && Math.abs(value - ours / (peer ?? 1)) < 1e-9)
    assert.match(unit, /^(?:gets|sets|loads|entries|updates)\/s$/)
    assert.equal(gated, false, 'a smoke run is not judged')
  }
  assert.equal(report.rows.find(({ name }) => name === 'hits-256/ioredis')?.bar, 3)
  assert.equal(report.rows.find(({ name }) => name === 'writes-256/ioredis')?.bar, 1.5)
  assert.equal(report.rows.find(({ name }) => name === 'near-hits/bentocache-memory')?.bar, 5)
  assert.equal(
    report.results.length,
    WORKLOADS.length * (PEERS.length + 2) + 2 + LOADING.length * (LOADING_PEERS.length + 1) + 1 + 2 * CARTS.length,
  )
  assert.equal(report.command, 'npm run bench -- --quick --json')
  assert.match(report.versions['ioredis-6'] ?? '', /^ioredis 6\./)
  assert.ok(Array.isArray(report.doubts))
  assert.ok(report.machine.cores > 0 && report.machine.cpu !== '')
  assert.equal(Object.keys(report.setUps).length, PEERS.length + 2 + 3 + 3)
})

test('what cannot be run is told on stderr with exit code 2, and nothing is started', async () => {
  const { code, stdout, stderr } = await bench('--only', 'hits-2')
  assert.equal(code, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^bench: --only: needs one of hits-256, .* but got: "hits-2"\n$/)
})

test('--help names the workloads', async () => {
  const { code, stdout } = await bench('--help')
  assert.equal(code, 0)
  assert.match(stdout, /--only NAME .*hits-256, hits-64, hits-1, writes-256, near-hits/)
})
