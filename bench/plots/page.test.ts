import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Report, type Result, rowsOf } from '../harness/report.ts'
import type { Workload } from '../harness/workload.ts'
import { pageOf } from './page.ts'
import { writePage } from './page-files.ts'

const DOCS = fileURLToPath(new URL('../../docs', import.meta.url))

function workloadOf(name: string, title: string): Workload {
  const [ours, limits, reference] = [['ringtail'], ['redis-benchmark'], 'ioredis']
  const entrants = ['ringtail', 'ioredis', 'redis-benchmark']
  const bars = { ioredis: 5, 'redis-benchmark': 0.15 }
  return { name, title, unit: 'gets/s', inFlight: 8, entrants, ours, limits, reference, bars, callerOf: () => async () => {} }
}

function resultOf(workload: string, contestant: string, ...rounds: [number, number, number]): Result {
  const isLimit = contestant === 'redis-benchmark'
  const [min, median, max] = rounds
  const figures = { cpuUs: isLimit ? Number.NaN : 3.2, cores: isLimit ? Number.NaN : 0.99 }
  return { workload, contestant, unit: 'gets/s', median, min, max, rounds, ...figures }
}

const at = (x: number, y: number): [number, number] => [x, y]
const workloads = [workloadOf('hits-256', 'hits, 256 in flight'), workloadOf('hits-1', 'hits, 1 in flight')]
const results = [
  resultOf('hits-256', 'ringtail', 300_000, 312_000, 320_000),
  resultOf('hits-256', 'ioredis', 60_000, 61_000, 64_000),
  resultOf('hits-256', 'redis-benchmark', 2_000_000, 2_500_000, 2_600_000),
  resultOf('hits-1', 'ringtail', 9_000, 9_100, 9_200),
  resultOf('hits-1', 'ioredis', 10_000, 10_100, 10_300),
]
const report: Report = {
  command: 'npm run bench',
  quick: false,
  rounds: 3,
  machine: { cpu: 'Some <CPU> & more', cores: 2, memoryGiB: 8, system: 'Linux 6.1' },
  versions: { node: '24.0.0', ringtail: '0.1.0' },
  setUps: { ringtail: 'README.md', ioredis: 'https://example.org/ioredis#a' },
  workloads: workloads.map(({ name, title, unit, reference, ours, limits = [] }) => ({ name, title, unit, reference, ours, limits })),
  results,
  rows: workloads.flatMap((workload) => rowsOf(workload, results, true)),
  studies: [
    {
      name: 'open-loop',
      title: 'open loop',
      text: '  ringtail 1',
      figures: [
        {
          kind: 'curves',
          name: 'open-loop-latency',
          title: 'Latency',
          x: { label: 'arrivals a second', scale: 'log' },
          y: { label: 'p99, ms', scale: 'log', most: 10, bound: 1 },
          curves: [
            { label: 'ringtail', whose: 'ours', points: [at(10_000, 0.2), at(200_000, 0.9)] },
            { label: 'ioredis', whose: 'peer', points: [at(10_000, 0.3), at(50_000, 80)] },
          ],
        },
      ],
    },
  ],
  doubts: [],
  missing: [],
}

test('the page shows every expectation with what was measured, and whether it is met', () => {
  const { markdown } = pageOf(report)
  assert.match(markdown, /\| hits-256\/ioredis \| 5.11 \| 5 – 5.11 \| ≥ 5 \| yes \|/)
  assert.match(markdown, /\| hits-256\/redis-benchmark \| 0.125 \| .* \| ≥ 0.15 \| \*\*no\*\* \|/)
  assert.match(markdown, /\| ringtail \| 312,000 \| 300,000 – 320,000 \| 5.11 \| 3.2 \| 0.99 \|/)
  assert.match(markdown, /\| redis-benchmark \| 2,500,000 \| .* \| 40.98 \| {2}\| {2}\|/)
  assert.match(markdown, /node 24.0.0, ringtail 0.1.0/)
  assert.match(markdown, /`npm run bench`\n- Some <CPU> & more, 2 cores, 8 GiB, Linux 6.1/)
})

test('every plot that the page shows is made, and is well-formed with its title, its axis and the names of all', () => {
  const { markdown, plots } = pageOf(report)
  const shown = Array.from(markdown.matchAll(/\]\(benchmarks\/([\w-]+)\.svg\)/g), ([, name]) => name)
  assert.deepEqual(shown, ['hits', 'hits-256', 'hits-256-cpu', 'hits-1', 'open-loop-latency'])
  assert.deepEqual([...plots.keys()], shown)
  for (const plot of plots.values()) {
    assert.match(plot, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" role="img"/)
    assert.match(plot, /prefers-color-scheme: dark/)
    assert.doesNotMatch(plot, /NaN|undefined|Infinity/)
    const [opened, closed] = [/<([a-z]+)(?: [^>]*[^/])?>/g, /<\/([a-z]+)>/g].map((tag) =>
      Array.from(plot.matchAll(tag), ([, name]) => name).sort(),
    )
    assert.deepEqual(opened, closed)
  }
  assert.match(plots.get('hits-256')!, /ioredis<\/text>/)
  assert.match(plots.get('hits-256')!, /gets\/s<\/text>/)
  assert.match(plots.get('hits')!, /in flight<\/text>/)
})

test('a limit that would flatten all others is cut off at the edge', () => {
  const plot = pageOf(report).plots.get('hits-256')!
  assert.match(plot, />400 k<\/text>/)
  assert.doesNotMatch(plot, / M<\/text>/)
  assert.match(plot, /<path class="ground"/)
  assert.match(plot, />2,500,000<\/text>/)
})

test('a page is written with its plots and its report, out of which the same is made again; old plots go', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-bench-page-'))
  try {
    writePage(report, folder)
    writeFileSync(join(folder, 'benchmarks', 'gone.svg'), '')
    const paths = writePage(report, folder)
    assert.equal(existsSync(join(folder, 'benchmarks', 'gone.svg')), false)
    assert.deepEqual(
      paths.filter((path) => !existsSync(path)),
      [],
    )
    assert.deepEqual(differences(folder), [])
    writeFileSync(join(folder, 'benchmarks.md'), 'something else')
    assert.deepEqual(differences(folder), ['benchmarks.md'])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('the page in the documentation is what is made of the report beside it', () => {
  assert.equal(existsSync(join(DOCS, 'benchmarks.md')), existsSync(join(DOCS, 'benchmarks', 'report.json')))
  if (existsSync(join(DOCS, 'benchmarks.md')))
    assert.deepEqual(differences(DOCS), [], 'npm run bench -- --from docs/benchmarks/report.json --write docs')
})

/** @returns what in the folder is not as it is made of the report there */
function differences(folder: string): string[] {
  const { markdown, plots } = pageOf(JSON.parse(readFileSync(join(folder, 'benchmarks', 'report.json'), 'utf8')))
  const files = new Map([
    ['benchmarks.md', markdown],
    ...Array.from(plots, ([name, plot]) => [join('benchmarks', `${name}.svg`), plot] as const),
  ])
  const there = readdirSync(join(folder, 'benchmarks')).filter((name) => name.endsWith('.svg'))
  const strays = there.map((name) => join('benchmarks', name)).filter((path) => !files.has(path))
  const others = [...files].filter(([path, content]) => {
    return !existsSync(join(folder, path)) || readFileSync(join(folder, path), 'utf8') !== content
  })
  return [...others.map(([path]) => path), ...strays]
}
