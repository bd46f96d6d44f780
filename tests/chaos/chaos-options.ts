/**
 * The command line of `npm run chaos`, checked whole before anything starts. What is wrong is a `UsageError`, exit code 2.
 */
import { parseArgs } from 'node:util'
import { rowOf } from './all-rows.ts'
import { type ChaosPlan, LONG, MOST_REQUESTS, SHORT } from './chaos-plan.ts'
import { isMissing } from './row.ts'
import { ROW_NAMES, type RowName } from './row-names.ts'

export interface ChaosCommand {
  readonly plan: ChaosPlan
  readonly rows: readonly RowName[]
  readonly json: boolean
  readonly details: boolean
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `Faults in real processes, under load: a row each, and whether the tier kept its promises.

  npm run chaos                            every row: ${LONG.rate.toLocaleString('en')} requests/s, ${LONG.faultMs / 1_000} s of fault a row
  npm run chaos -- --list                  the rows, and what each does
  npm run chaos -- --only node-killed      one row; given again, several
  npm run chaos -- --short                 the form that the tests run: ${SHORT.rate} requests/s, ${SHORT.faultMs / 1_000} s of fault

  --only NAME    this row; may be given several times
  --for SECONDS  how long the fault of each row lasts: 1 to 3600, with the rate at most ${MOST_REQUESTS.toLocaleString('en')} requests a row (default: ${LONG.faultMs / 1_000})
  --rate N       requests a second, of both clients together: 10 to 100000 (default: ${LONG.rate})
  --seed N       what is drawn (default: ${LONG.seed})
  --short        the short form
  --details      what each client saw, and the first findings of the history checker, on stderr
  --json         one object on stdout: rows[{name,ok,requests,failed,success,p999Ms,recoveryMs,stale,lost,why}]
  --list         the rows by name
  --help         this text

Exit code 0: every row was as demanded. 1: some was not, could not be measured, or is not built yet. 2: the command line is wrong.
`

const KNOWN = {
  list: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  for: { type: 'string' },
  rate: { type: 'string' },
  seed: { type: 'string' },
  short: { type: 'boolean' },
  details: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** @returns what to run, or 'help' or 'list' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[]): ChaosCommand | 'help' | 'list' {
  const values = read(args)
  if (values.help === true) return 'help'
  if (values.list === true) return 'list'
  const form = values.short === true ? SHORT : LONG
  const rate = whole(values.rate, '--rate', 10, 100_000) ?? form.rate
  const faultMs = (whole(values.for, '--for', 1, 3_600) ?? form.faultMs / 1_000) * 1_000
  const rows = named(values.only)
  const mostMs = (MOST_REQUESTS * 1_000) / (rate * Math.max(...rows.map(surgeOf)))
  if (faultMs > mostMs)
    throw new UsageError(
      `--for: needs at most ${Math.floor(mostMs / 1_000)} at ${rate} requests/s with these rows, for each of at most ${MOST_REQUESTS} requests of a row is kept until it is judged, but got: "${faultMs / 1_000}"`,
    )
  // Less was asked for, so less is enough.
  const leastRequests = Math.min(form.leastRequests, Math.floor((rate * faultMs) / 1_000) * 0.8)
  const plan = { ...form, rate, faultMs, leastRequests, seed: whole(values.seed, '--seed', 0, 2 ** 31) ?? form.seed }
  return { plan, rows, json: values.json === true, details: values.details === true }
}

/** How many times the usual load the row has in its window. */
function surgeOf(name: RowName): number {
  const row = rowOf(name)
  return !isMissing(row) && row.clients?.do === 'surge' ? row.clients.times : 1
}

function read(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: KNOWN }).values
  } catch (error) {
    const known = Object.keys(KNOWN).map((name) => `--${name}`)
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. Known options: ${known.join(' ')}`)
  }
}

function named(only: readonly string[] | undefined): readonly RowName[] {
  if (only === undefined) return ROW_NAMES
  return only.map((name) => {
    const found = ROW_NAMES.find((each) => each === name)
    if (found === undefined) throw new UsageError(`--only: needs the name of a row (--list tells them), but got: ${JSON.stringify(name)}`)
    return found
  })
}

function whole(value: string | undefined, what: string, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  throw new UsageError(`${what}: needs a whole number from ${min} to ${max}, but got: ${JSON.stringify(value)}`)
}
