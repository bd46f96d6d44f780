/**
 * The benchmark runs whole: every workload, every study, every peer, real servers. Its figures are those of a smoke run and are not looked at.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Report } from './harness/report.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const CLIENTS = ['ioredis', 'ioredis-auto-pipelining', 'node-redis', 'glide', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader']
const ON_THREE = CLIENTS.map((peer) => `${peer} (ringtail-on-three)`)
const LOADING = ['ringtail-plain', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader']
const REPLAYED = ['bentocache-on-two', 'cacheable-on-two', 'cache-manager-on-two', 'layered-loader-on-two']

/** By workload, whom Ringtail is put beside: a row each. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  'hits-256': [...CLIENTS, 'redis-benchmark', ...ON_THREE, 'redis-benchmark (ringtail-on-three)'],
  'hits-1024': CLIENTS,
  'hits-64': CLIENTS,
  'hits-16': CLIENTS,
  'hits-1': CLIENTS,
  'hits-256-2kb': CLIENTS,
  'hits-64-64kb': CLIENTS,
  'mixed-256': CLIENTS,
  'batch-10': CLIENTS,
  'batch-100': CLIENTS,
  'batch-1000': CLIENTS,
  'writes-256': [...CLIENTS, ...ON_THREE],
  'near-hits': [
    'bentocache-memory',
    'bentocache-memory-shared',
    'cacheable-memory',
    'cache-manager-memory',
    'layered-loader-memory',
    'lru-cache',
  ],
  'near-peeks': ['lru-cache'],
  'misses-64': LOADING,
  'misses-1': LOADING,
  'cart-updates-64': ['postgres'],
  'cart-updates-1': ['postgres'],
}

/** Rows that are not one for each peer. */
const OTHERS = ['journal-256', 'overhead/ringtail-bare', 'open-loop/p99 at 100,000 a second', 'memory/ioredis', 'memory/bentocache-memory']

/** Studies' rows, of those whose rows are always the same. */
const STUDIED = [
  ...CLIENTS.map((peer) => `open-loop/${peer}`),
  'ring/build',
  'ring/look-up',
  'ring/get on 100 nodes over 3',
  'eviction/orm-busy',
  ...['product-page', 'user-profile', 'cart-update'].flatMap((operation) =>
    ['idle', 'idle p99', 'loaded', 'loaded p99', 'most'].map((figure) => `database/${operation} ${figure}`),
  ),
  ...REPLAYED.flatMap((peer) => [`replay/made-scans/${peer}`, `replay/made-scans hits/${peer}`]),
]

/** What is expected of whom: see the issue of the row. */
const BARS: Readonly<Record<string, number>> = {
  'hits-256/ioredis': 5,
  'hits-256/bentocache': 6,
  'hits-256/ioredis-auto-pipelining': 2.5,
  'hits-256/redis-benchmark': 0.15,
  'hits-1/ioredis': 1 / 1.1,
  'overhead/ringtail-bare': 0.95,
  'mixed-256/ioredis': 3,
  'batch-100/bentocache': 3,
  'batch-100/cacheable': 3,
  'writes-256/ioredis': 2,
  'writes-256/ioredis (ringtail-on-three)': 0.7,
  'near-hits/bentocache-memory': 10,
  'near-peeks/lru-cache': 0.5,
  'journal-256': 20_000,
  'open-loop/p99 at 100,000 a second': 1,
  'ring/build': 1_000,
  'ring/look-up': 1_500,
  'ring/get on 100 nodes over 3': 1.1,
  'eviction/orm-busy': 96.5,
  'database/cart-update loaded': 43,
  ...Object.fromEntries(CLIENTS.map((peer) => [`open-loop/${peer}`, 2.5])),
}

interface Ended {
  readonly code: number | string | null
  readonly stdout: string
  readonly stderr: string
}

function bench(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { timeout: 240_000, maxBuffer: 64 * 1024 * 1024 }
    execFile(process.execPath, ['--conditions=ringtail-source', MAIN, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr })
    })
  })
}

test('a smoke run prints one JSON object with a row for every workload and peer, and for every study', async () => {
  const { code, stdout, stderr } = await bench('--quick', '--json')
  assert.equal(code, 0, stderr)
  const report: Report = JSON.parse(stdout)
  const names = report.rows.map(({ name }) => name)
  const compared = Object.entries(BESIDE).flatMap(([workload, peers]) => peers.map((peer) => `${workload}/${peer}`))
  assert.deepEqual(new Set(names).size, names.length, 'a row is there once')
  assert.deepEqual(
    [...compared, ...OTHERS, ...STUDIED].filter((name) => !names.includes(name)),
    [],
    'every row is there',
  )
  // Those of the catalogue are more where its file is.
  assert.ok(names.filter((name) => name.startsWith('catalogue-memory/')).length >= 3)
  for (const { name, value, ours, peer, gated } of report.rows.filter(({ name }) => compared.includes(name))) {
    assert.ok(value > 0 && Math.abs(value - ours / (peer ?? 1)) < 1e-9, name)
    assert.equal(gated, false, 'a smoke run is not judged')
  }
  for (const [name, bar] of Object.entries(BARS)) assert.equal(report.rows.find((row) => row.name === name)?.bar, bar, name)
  assert.equal(report.command, 'npm run bench -- --quick --json')
  assert.match(report.versions['ioredis-6'] ?? '', /^ioredis 6\./)
  assert.deepEqual(report.missing, [])
  assert.ok(report.machine.cores > 0 && report.machine.cpu !== '')
  for (const { contestant } of report.results)
    assert.ok(report.setUps[contestant] !== undefined, `${contestant} says by which page it is set up`)
})

test('what cannot be run is told on stderr with exit code 2, and nothing is started', async () => {
  for (const [args, message] of [
    [['--only', 'hits-2'], /^bench: --only: needs one of hits-256, .* but got: "hits-2"\n$/],
    [['--from', 'no/such.json'], /^bench: --from: needs a file with a report of this benchmark, but got: no\/such.json/],
  ] as const) {
    const { code, stdout, stderr } = await bench(...args)
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, message)
  }
})

test('--help names the workloads and the studies', async () => {
  const { code, stdout } = await bench('--help')
  assert.equal(code, 0)
  assert.match(stdout, /--only NAME .*hits-256, .*writes-256, near-hits.*overhead, batching, open-loop, replay, memory/)
})
