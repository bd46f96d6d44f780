/**
 * `npm run races`: the long form of the races that the tests run in short, with what was found told in full.
 */
import { type Violation, violationText } from '../../src/testing/index.ts'
import type { Lateness } from './lateness.ts'
import { parseOptions, type RaceCommand, USAGE, UsageError } from './race-options.ts'
import { type RaceReport, runRace } from './race-run.ts'

const TELL_EVERY_MS = 1_000
const SHOWN = 20

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let command: RaceCommand | 'help'
  try {
    command = parseOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`races: ${error.message}`)
    return 2
  }
  if (command === 'help') {
    console.log(USAGE)
    return 0
  }
  const report = await runRace(command.plan, {
    hear: progress(command.plan.operations),
    ...(command.without && { without: command.without }),
  })
  process.stderr.write('\n')
  if (command.json) console.log(JSON.stringify(report, (_, value) => (typeof value === 'bigint' ? String(value) : value)))
  else console.log(textOf(report))
  const isWhole = report.counts.operations >= command.plan.enough
  if (!isWhole) console.error(`races: needs ${command.plan.enough} operations within its time, but got: ${report.counts.operations}`)
  return isWhole && report.violations === 0 ? 0 : 1
}

/** One line, written over itself in a terminal. */
function progress(operations: number): (done: number) => void {
  const startMs = performance.now()
  let nextMs = startMs + TELL_EVERY_MS
  return (done) => {
    const nowMs = performance.now()
    if (nowMs < nextMs) return
    nextMs = nowMs + TELL_EVERY_MS
    const rate = Math.round(done / ((nowMs - startMs) / 1_000))
    process.stderr.write(`${process.stderr.isTTY ? '\r' : '\n'}${done} of ${operations} operations, ${rate}/s `)
  }
}

function textOf({ seconds, counts, caches, replicas, violations }: RaceReport): string {
  const lines = [
    `${counts.operations} operations in ${seconds.toFixed(1)} s, ${counts.served} of them with a session, ${counts.nearHits} near hits`,
    `${counts.loads} rows loaded; held: ${counts.heldLoads} loads, ${counts.heldSaves} saves, ${counts.holdsGivenUp} of them given up`,
    `errors: ${JSON.stringify(counts.errors)}`,
    ...Object.entries(caches).map(
      ([name, report]) => `${name}: ${report.operations} operations, ${countsText(report.counts)}; ${latenessText(report.lateness)}`,
    ),
    `at rest: ${replicas.keys} keys on the nodes, ${replicas.diverged} whose owners differ`,
  ]
  const found: [string, Violation][] = Object.entries(caches).flatMap(([name, report]) =>
    report.violations.map((each) => [name, each] as [string, Violation]),
  )
  found.push(...replicas.violations.map((each) => ['at rest', each] as [string, Violation]))
  for (const [where, violation] of found.slice(0, SHOWN)) lines.push('', `${where}: ${violationText(violation)}`)
  return [...lines, '', `${violations} violations`].join('\n')
}

function latenessText({ reads, late, p50Ms, p99Ms, maxMs }: Lateness): string {
  const share = `${late} of ${reads} values read were overtaken`
  return late === 0 ? share : `${share}, by ${p50Ms.toFixed(1)} ms (p50), ${p99Ms.toFixed(1)} (p99), ${maxMs.toFixed(1)} (most)`
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const found = Object.entries(counts).filter(([, count]) => count > 0)
  return found.length === 0 ? 'no violation' : found.map(([kind, count]) => `${count} ${kind}`).join(', ')
}
