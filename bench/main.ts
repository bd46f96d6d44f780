/**
 * `npm run bench`: Ringtail beside the libraries it could be compared with.
 *
 * Everybody reads and writes the same objects on the same Redis server, each from a process of its own, in interleaved rounds; so the
 * ratios hold on other machines, the figures do not. Who takes part in what stands in `line-up.ts`.
 */
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { startPostgres } from '../tests/support/postgres.ts'
import { type BenchOptions, parseOptions, UsageError, usage } from './harness/arguments.ts'
import type { Measure } from './harness/closed-loop.ts'
import type { Ground } from './harness/contestant.ts'
import { ContestantProcess, type Opened } from './harness/contestant-process.ts'
import { machine, versionsOf } from './harness/environment.ts'
import { doubtsOf, missedBars, type Report, type Result, type Row, resultsOf, rowsOf, tableOf, verdictsOf } from './harness/report.ts'
import { interleavedRounds, type RoundsPlan, type Run } from './harness/rounds.ts'
import type { Workload } from './harness/workload.ts'
import { STUDIES, WORKLOADS } from './line-up.ts'

const PLAN: RoundsPlan = { rounds: 7, warmUpMs: 1_000, runMs: 750 }
const QUICK_PLAN: RoundsPlan = { rounds: 1, warmUpMs: 0, runMs: 40 }
const SERVERS = 3
/** As a database is that matters: a commit waits for the disk. */
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
const TTL_MS = 3_600_000
const MAX_MEMORY = 256 * 1024 * 1024

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const names = [...WORKLOADS, ...STUDIES].map(({ name }) => name)
  let options: BenchOptions | 'help'
  try {
    options = parseOptions(args, names)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
  if (options === 'help') {
    console.log(usage(names))
    return 0
  }
  const report = await measured(options, `npm run bench${args.length === 0 ? '' : ` -- ${args.join(' ')}`}`)
  if (options.json) console.log(JSON.stringify(report))
  const missed = missedBars(report.rows)
  for (const { name, value, bar, most } of missed)
    console.error(`bench: ${name} needs ${most === true ? 'at most ' : ''}${bar}, but got: ${value.toFixed(2)}`)
  return missed.length === 0 ? 0 : 1
}

async function measured(options: BenchOptions, command: string): Promise<Report> {
  const say = options.json ? console.error : console.log
  const plan = options.quick ? QUICK_PLAN : PLAN
  const servers: RedisServer[] = []
  const contestants: ContestantProcess[] = []
  const stops: (() => Promise<void>)[] = []
  try {
    for (let i = 0; i < SERVERS; i++) servers.push(await startRedisServer({ maxMemory: MAX_MEMORY }))
    const chosen = WORKLOADS.filter(({ name }) => options.chosen.includes(name))
    const needsDatabase = chosen.some(({ needsDatabase }) => needsDatabase === true)
    const database = needsDatabase ? await startPostgres({ settings: DURABLE }) : undefined
    if (database !== undefined) stops.push(() => database.stop())
    for (const name of new Set(chosen.flatMap(({ entrants }) => entrants))) contestants.push(new ContestantProcess(name))
    const opened = await openAll(contestants, { urls: servers.map(({ url }) => url), database: database?.url() ?? '', ttlMs: TTL_MS })
    const versions = versionsIn(opened, servers[0]!)
    const host = machine()
    say(heading({ command, machine: host, versions }))
    const results: Result[] = []
    const rows: Row[] = []
    const doubts: string[] = []
    for (const workload of chosen) {
      const measures = await interleavedRounds(runsOf(workload, contestants), plan)
      results.push(...resultsOf(workload, measures))
      rows.push(...rowsOf(workload, results, !options.quick))
      doubts.push(...doubtsOf(workload, results))
      say(`\n${tableOf(workload, results)}`)
    }
    for (const study of STUDIES.filter(({ name }) => options.chosen.includes(name))) {
      const found = await study.measure({ quick: options.quick, say })
      rows.push(...(options.quick ? found.rows.map((row) => ({ ...row, gated: false })) : found.rows))
      doubts.push(...found.doubts)
      say(`\n${study.title}\n${found.text}`)
    }
    say(['', verdictsOf(rows), ...doubts].join('\n'))
    const setUps = Object.fromEntries([...opened].map(([name, { page }]) => [name, page]))
    return { command, quick: options.quick, rounds: plan.rounds, machine: host, versions, setUps, results, rows, doubts }
  } finally {
    await Promise.allSettled(contestants.map((each) => each.close()))
    await Promise.allSettled([...servers.map((server) => server.stop()), ...stops.map((stop) => stop())])
  }
}

/** One after the other: filling is work, and the server is one. */
async function openAll(contestants: readonly ContestantProcess[], ground: Ground): Promise<Map<string, Opened>> {
  const opened = new Map<string, Opened>()
  for (const each of contestants) opened.set(each.name, await each.open(ground))
  return opened
}

function versionsIn(opened: ReadonlyMap<string, Opened>, server: RedisServer): Record<string, string> {
  const versions = versionsOf([])
  for (const each of opened.values()) Object.assign(versions, each.versions)
  return { ...versions, [server.engine]: server.version }
}

function runsOf({ name, entrants }: Workload, contestants: readonly ContestantProcess[]): Map<string, Run<Measure>> {
  const entered = entrants.map((entrant) => contestants.find((each) => each.name === entrant)!)
  return new Map(entered.map((each) => [each.name, (ms) => each.run(name, ms)]))
}

function heading({
  command,
  machine: { cpu, cores, memoryGiB, system },
  versions,
}: Pick<Report, 'command' | 'machine' | 'versions'>): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `${command}\n${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}\n${packages.join(', ')}`
}
