/**
 * The command line, checked whole before anything starts. What is wrong is a `UsageError`, which `main.ts` turns into exit code 2.
 */
import { parseArgs } from 'node:util'

export interface BenchOptions {
  /** Names of workloads and studies, in the order in which they run. */
  readonly chosen: readonly string[]
  readonly json: boolean
  /** A smoke run: shows that everything runs, measures nothing. */
  readonly quick: boolean
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function usage(names: readonly string[]): string {
  return `Ringtail beside the libraries it could be compared with, on the same Redis, in one run.

  npm run bench                      everything, in a few minutes; exits with 1 when a gated bar is missed
  npm run bench -- --only hits-256   one workload or study, or those that begin so: hits

  --only NAME   what to run, may be given more than once: ${names.join(', ')}
  --json        one JSON object on stdout; progress goes to stderr
  --quick       a smoke run of a few seconds, whose figures mean nothing and whose bars are not judged
  --help        this text
`
}

/** @param known the names of all workloads and studies @returns the options, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[], known: readonly string[]): BenchOptions | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const chosen = new Set((values.only ?? [...known]).flatMap((name) => matching(name, known)))
  return {
    chosen: known.filter((name) => chosen.has(name)),
    json: values.json === true,
    quick: values.quick === true,
  }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. Known options: --only NAME --json --quick --help`)
  }
}

function matching(name: string, known: readonly string[]): string[] {
  const exact = known.filter((each) => each === name)
  const found = exact.length > 0 ? exact : known.filter((each) => each.startsWith(`${name}-`))
  if (found.length === 0) throw new UsageError(`--only: needs one of ${known.join(', ')}, but got: ${JSON.stringify(name)}`)
  return found
}
