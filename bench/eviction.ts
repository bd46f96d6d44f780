/**
 * `npm run bench:eviction`: which entries to keep, by hit rate on recorded and on made traces.
 *
 * Every policy sees the same reads; the one that the near cache runs is replayed by its own class. Hit rates are exact and come out the same on
 * every machine, beside the published figure and the difference from it where there is one. Times are of one run each, and only for comparison.
 */
import { parseArgs } from 'node:util'
import { arc } from './eviction/arc.ts'
import { lru } from './eviction/lru.ts'
import { near } from './eviction/near.ts'
import type { Policy } from './eviction/policy.ts'
import { s3Fifo } from './eviction/s3-fifo.ts'
import { sieve } from './eviction/sieve.ts'
import { madeTraces, recordedTraces, type Trace } from './eviction/traces.ts'
import { windowTinyLfu } from './eviction/window-tiny-lfu.ts'

const POLICIES: readonly Policy[] = [lru, sieve, s3Fifo, arc, windowTinyLfu, near]
const MADE_READS = 1_000_000
const QUICK_READS = 20_000
const WIDTH = 16

const HELP = `Hit rates of eviction policies, per cent, by trace and size in entries.

  npm run bench:eviction                              on made traces
  npm run bench:eviction -- --data ../shared/data     and on recorded ones, where that folder has them (reads-*.csv.gz)

  --data FOLDER   where the recorded traces are; those that are not there are left out
  --json          one JSON object on stdout
  --quick         the first ${QUICK_READS} reads of each trace: a smoke run, not to be compared with published figures
  --help          this text
`

interface Figure {
  readonly trace: string
  readonly size: number
  readonly policy: string
  readonly hitRate: number
  readonly published: number | undefined
  readonly nsPerAccess: number
}

process.exitCode = main(process.argv.slice(2))

function main(args: readonly string[]): number {
  let options: ReturnType<typeof parse>
  try {
    options = parse(args)
  } catch (error) {
    console.error(`bench:eviction: ${(error as Error).message}\n\n${HELP}`)
    return 2
  }
  if (options.help) {
    console.log(HELP)
    return 0
  }
  const recorded = options.data === undefined ? [] : recordedTraces(options.data, options.quick ? QUICK_READS : Number.POSITIVE_INFINITY)
  if (options.data !== undefined && recorded.length === 0) {
    console.error(`bench:eviction: --data: needs a folder with reads-*.csv.gz, but got: ${options.data}`)
    return 2
  }
  const figures: Figure[] = []
  if (!options.json) console.log(headingOf())
  for (const trace of [...recorded, ...madeTraces(options.quick ? QUICK_READS : MADE_READS)]) {
    for (const size of trace.sizes) {
      const row = POLICIES.map((policy) => replayed(policy, trace, size, !options.quick))
      figures.push(...row)
      if (!options.json) console.log(lineOf(row))
    }
  }
  if (options.json) console.log(JSON.stringify({ quick: options.quick, figures }))
  else console.log(`\nns an access, mean over all: ${POLICIES.map(({ name }) => `${name} ${meanNs(figures, name)}`).join(', ')}`)
  return 0
}

function parse(args: readonly string[]) {
  const off = { type: 'boolean', default: false } as const
  return parseArgs({ args: [...args], options: { data: { type: 'string' }, json: off, quick: off, help: off } }).values
}

function replayed(policy: Policy, trace: Trace, size: number, isWhole: boolean): Figure {
  const simulation = policy.create(size)
  let hits = 0
  const start = performance.now()
  for (const key of trace.keys) if (simulation.access(key)) hits++
  const nsPerAccess = Math.round(((performance.now() - start) * 1e6) / trace.keys.length)
  if (simulation.size > size) throw new Error(`${policy.name}: needs at most ${size} entries, but got: ${simulation.size}`)
  const published = isWhole ? trace.published[size]?.[policy.name] : undefined
  return { trace: trace.name, size, policy: policy.name, hitRate: round((100 * hits) / trace.keys.length), published, nsPerAccess }
}

function headingOf(): string {
  return 'trace'.padEnd(16) + 'entries'.padStart(8) + POLICIES.map(({ name }) => name.padStart(WIDTH)).join('')
}

function lineOf(row: readonly Figure[]): string {
  const cells = row.map(({ hitRate, published }) => {
    const difference = published === undefined ? '' : ` (${signed(hitRate - published)})`
    return `${hitRate.toFixed(2)}${difference}`.padStart(WIDTH)
  })
  return row[0]!.trace.padEnd(16) + String(row[0]!.size).padStart(8) + cells.join('')
}

function signed(difference: number): string {
  const text = difference.toFixed(2).replace('-0.00', '0.00')
  return difference > 0.005 ? `+${text}` : text
}

function meanNs(figures: readonly Figure[], policy: string): number {
  const own = figures.filter((figure) => figure.policy === policy)
  return Math.round(own.reduce((sum, { nsPerAccess }) => sum + nsPerAccess, 0) / own.length)
}

function round(number: number): number {
  return Number(number.toFixed(2))
}
