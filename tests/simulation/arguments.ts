/**
 * The command line, checked whole before anything runs. What is wrong is a `UsageError`, which `main.ts` turns into exit code 2.
 */
import { parseArgs } from 'node:util'
import { type BugName, PLANTED_BUGS } from './planted-bugs.ts'

export interface SimulateOptions {
  readonly from: number
  readonly seeds: number
  readonly bug: BugName | undefined
  readonly trace: boolean
  readonly shrink: boolean
  readonly json: boolean
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const SEEDS = 1_000
const MAX_SEED = 2 ** 31 - 1

export const USAGE = `Seeded runs of the production code over simulated nodes, network, clocks and stores, with faults; every promise is checked at every step.

  npm run simulate                          seeds 1 to ${SEEDS}; exits with 1 when a promise is broken
  npm run simulate -- --only-seed 42 --trace  one seed, with the last steps of what it broke

  --seeds N      how many seeds (${SEEDS})
  --from N       the first of them (1)
  --only-seed N  this one alone
  --trace        with the steps that led to the first violation; without one, the last steps
  --shrink       makes each failing seed smaller first: fewer faults, fewer operations
  --bug NAME     with a planted bug: ${Object.keys(PLANTED_BUGS)
    .map((name) => `'${name}'`)
    .join(', ')}
  --json         one JSON object on stdout; progress goes to stderr
  --help         this text
`

/** @returns the options, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[]): SimulateOptions | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const only = values['only-seed']
  if (only !== undefined && (values.seeds !== undefined || values.from !== undefined))
    throw new UsageError('--only-seed: needs to stand without --seeds and --from')
  if (values.bug !== undefined && !Object.hasOwn(PLANTED_BUGS, values.bug))
    throw new UsageError(`--bug: needs one of ${Object.keys(PLANTED_BUGS).join(', ')}, but got: ${JSON.stringify(values.bug)}`)
  return {
    from: whole(only ?? values.from ?? '1', only === undefined ? '--from' : '--only-seed', 0),
    seeds: only === undefined ? whole(values.seeds ?? String(SEEDS), '--seeds', 1) : 1,
    bug: values.bug as BugName | undefined,
    trace: values.trace === true,
    shrink: values.shrink === true,
    json: values.json === true,
  }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string' },
        from: { type: 'string' },
        'only-seed': { type: 'string' },
        bug: { type: 'string' },
        trace: { type: 'boolean' },
        shrink: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new UsageError(
      `${(error as Error).message.split('. ')[0]}. Known options: --seeds N --from N --only-seed N --bug NAME --trace --shrink --json --help`,
    )
  }
}

function whole(text: string, option: string, least: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= MAX_SEED))
    throw new UsageError(`${option}: needs a whole number from ${least} to ${MAX_SEED}, but got: ${JSON.stringify(text)}`)
  return value
}
