/**
 * The command line of a race, checked whole before anything starts. What is wrong is a `UsageError`, which `main.ts` turns into exit code 2.
 */
import { parseArgs } from 'node:util'
import { RACE, type RacePlan } from './race-plan.ts'
import { PROTECTIONS, type Protection } from './weakened-node.ts'

export interface RaceCommand {
  readonly plan: RacePlan
  readonly without: Protection | undefined
  readonly json: boolean
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE = `Four processes race for few and hot keys on five Redis servers and a PostgreSQL; what they saw is judged.

  npm run races                                 ${RACE.operations.toLocaleString('en')} operations; exits with 1 when a promise was broken
  npm run races -- --operations 20000 --seed 7  fewer, of another seed

  --operations N   of all processes together (default: ${RACE.operations})
  --seed N         what is drawn; how the processes interleave is nobody's choice (default: ${RACE.seed})
  --without NAME   with one protection switched off, to see it missed: ${PROTECTIONS.join(', ')}
  --json           one JSON object on stdout; progress goes to stderr
  --help           this text
`

const KNOWN = {
  operations: { type: 'string' },
  seed: { type: 'string' },
  without: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** @returns what to race, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[]): RaceCommand | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const operations = whole(values.operations, '--operations', 1_000, 16_000_000) ?? RACE.operations
  const seed = whole(values.seed, '--seed', 0, 2 ** 31) ?? RACE.seed
  return { plan: { ...RACE, operations, enough: operations, seed }, without: protection(values.without), json: values.json === true }
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

function protection(value: string | undefined): Protection | undefined {
  const found = PROTECTIONS.find((each) => each === value)
  if (value === undefined || found !== undefined) return found
  throw new UsageError(`--without: needs one of ${PROTECTIONS.join(', ')}, but got: ${JSON.stringify(value)}`)
}
