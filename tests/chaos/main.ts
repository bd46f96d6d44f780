/**
 * `npm run chaos`: the long form of the rows that the tests run in short.
 */
import { rowOf } from './all-rows.ts'
import { type ChaosCommand, parseOptions, USAGE, UsageError } from './chaos-options.ts'
import type { RowVerdict } from './judge.ts'
import { isMissing } from './row.ts'
import { ROW_NAMES } from './row-names.ts'
import { ChaosRun } from './row-run.ts'
import { reportOf, tableOf } from './table.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let command: ChaosCommand | 'help' | 'list'
  try {
    command = parseOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`chaos: ${error.message}`)
    return 2
  }
  if (command === 'help') console.log(USAGE)
  else if (command === 'list') console.log(listed())
  else return runRows(command)
  return 0
}

function listed(): string {
  const width = Math.max(...ROW_NAMES.map((name) => name.length))
  return ROW_NAMES.map((name) => {
    const row = rowOf(name)
    return `${name.padEnd(width)}  ${row.what}${isMissing(row) ? ` (${row.missing})` : ''}`
  }).join('\n')
}

async function runRows({ plan, rows, json, details }: ChaosCommand): Promise<number> {
  const run = new ChaosRun(plan, progress())
  const verdicts: RowVerdict[] = []
  try {
    for (const name of rows) {
      const verdict = await run.row(name)
      verdicts.push(verdict)
      process.stderr.write(
        `${process.stderr.isTTY ? '\r' : ''}${verdict.ok ? 'ok    ' : 'FAILED'} ${name}${verdict.why && `: ${verdict.why}`}`.padEnd(100),
      )
      process.stderr.write('\n')
      if (details) for (const each of verdict.details) process.stderr.write(`${each}\n`)
    }
  } finally {
    await run.close()
  }
  if (json) console.log(JSON.stringify({ rows: verdicts.map(reportOf) }))
  else console.log(tableOf(verdicts))
  return verdicts.every(({ ok }) => ok) ? 0 : 1
}

/** One line, written over itself in a terminal. */
function progress(): (what: string) => void {
  const startMs = performance.now()
  return (what) => {
    const text = `${((performance.now() - startMs) / 1_000).toFixed(1).padStart(7)} s  ${what}`
    process.stderr.write(process.stderr.isTTY ? `\r${text.padEnd(100)}` : `${text}\n`)
  }
}
