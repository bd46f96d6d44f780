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
  /** The folder that `benchmarks.md` with its plots and its report is written to. */
  readonly write: string | undefined
  /** The file of an earlier report: nothing is measured. */
  readonly from: string | undefined
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function usage(names: readonly string[]): string {
  return `Ringtail beside the libraries it could be compared with, on the same Redis, in one run.

  npm run bench                      everything, in about 35 minutes; exits with 1 when a gated bar or a row is missed
  npm run bench -- --only hits-256   one workload or study, or those that begin so: hits

  --only NAME      what to run, may be given more than once: ${names.join(', ')}
  --json           one JSON object on stdout; progress goes to stderr
  --quick          a smoke run of seconds, whose figures mean nothing and whose bars are not judged
  --write FOLDER   also writes benchmarks.md into it, and the plots and the report into FOLDER/benchmarks
  --from FILE      measures nothing: takes the report that an earlier run wrote, or printed with --json
  --help           this text
`
}

/** @param known the names of all workloads and studies @returns the options, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[], known: readonly string[]): BenchOptions | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const { write, from } = values
  if (write !== undefined && values.quick === true) throw new UsageError('--write: needs figures that mean something, but got: --quick')
  if (from !== undefined && (values.quick === true || values.only !== undefined)) {
    throw new UsageError('--from: measures nothing, so that --only and --quick have no place beside it')
  }
  const chosen = new Set((values.only ?? [...known]).flatMap((name) => matching(name, known)))
  return {
    chosen: known.filter((name) => chosen.has(name)),
    json: values.json === true,
    quick: values.quick === true,
    write,
    from,
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
        write: { type: 'string' },
        from: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    const known = '--only NAME --json --quick --write FOLDER --from FILE --help'
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. Known options: ${known}`)
  }
}

function matching(name: string, known: readonly string[]): string[] {
  const exact = known.filter((each) => each === name)
  const found = exact.length > 0 ? exact : known.filter((each) => each.startsWith(`${name}-`))
  if (found.length === 0) throw new UsageError(`--only: needs one of ${known.join(', ')}, but got: ${JSON.stringify(name)}`)
  return found
}
