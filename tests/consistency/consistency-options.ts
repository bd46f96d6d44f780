/**
 * The command line of `npm run consistency`, checked whole before anything starts. What is wrong is a `UsageError`, exit code 2.
 */
import { parseArgs } from 'node:util'
import type { CleanPlan } from './clean-run.ts'
import type { PlantedPlan } from './planted-run.ts'

export type ConsistencyCommand =
  | { readonly run: 'planted'; readonly plan: PlantedPlan }
  | { readonly run: 'clean'; readonly plan: CleanPlan }

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const KEYS = 1_000_000

export const USAGE = `What the consistency checker finds, on real Redis servers.

  npm run consistency                        one stale replica among ${KEYS.toLocaleString('en')} keys: has to be found, and nothing else
  npm run consistency -- --clean --for 10m   a tier under load that keeps its promises: nothing may be found

  --keys N      keys among which one is stale: 1,000 to 5,000,000 (default: ${KEYS})
  --clean       the clean run
  --for TIME    how long the clean run lasts: 5s to 24h, such as 30s, 10m, 1h (default: 10m)
  --seed N      what is drawn (default: 1)
  --help        this text
`

const KNOWN = {
  keys: { type: 'string' },
  clean: { type: 'boolean' },
  for: { type: 'string' },
  seed: { type: 'string' },
  help: { type: 'boolean' },
} as const

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 }

/** @returns what to run, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[]): ConsistencyCommand | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const seed = whole(values.seed, '--seed', 0, 2 ** 31) ?? 1
  if (values.clean === true) {
    if (values.keys !== undefined) throw new UsageError('--keys: is of the run without --clean')
    return { run: 'clean', plan: { seed, forMs: lasting(values.for ?? '10m'), copies: 0 } }
  }
  if (values.for !== undefined) throw new UsageError('--for: is of the run with --clean')
  return { run: 'planted', plan: { seed, keys: whole(values.keys, '--keys', 1_000, 5_000_000) ?? KEYS } }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: KNOWN }).values
  } catch (error) {
    const known = Object.keys(KNOWN).map((name) => `--${name}`)
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. Known options: ${known.join(' ')}`)
  }
}

function whole(value: string | undefined, what: string, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  throw new UsageError(`${what}: needs a whole number from ${min} to ${max}, but got: ${JSON.stringify(value)}`)
}

function lasting(value: string): number {
  const match = /^(\d+)([smh])$/.exec(value)
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!
  if (ms < 5_000 || ms > 86_400_000)
    throw new UsageError(`--for: needs a time from 5s to 24h, such as 10m, but got: ${JSON.stringify(value)}`)
  return ms
}
