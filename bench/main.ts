/**
 * `npm run bench`: Ringtail beside the libraries it could be compared with.
 *
 * Everybody reads and writes the same objects on the same Redis server, each from a process of its own, in interleaved rounds; so the
 * ratios hold on other machines, the figures do not. Who takes part in what stands in `line-up.ts`.
 */
import { readFileSync } from 'node:fs'
import { type BenchOptions, parseOptions, UsageError, usage } from './harness/arguments.ts'
import { conducted } from './harness/conductor.ts'
import { missedBars, type Report } from './harness/report.ts'
import { STUDIES, WORKLOADS } from './line-up.ts'
import { writePage } from './plots/page-files.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const names = [...WORKLOADS, ...STUDIES].map(({ name }) => name)
  let options: BenchOptions | 'help'
  let earlier: Report | undefined
  try {
    options = parseOptions(args, names)
    if (options !== 'help' && options.from !== undefined) earlier = reportIn(options.from)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
  if (options === 'help') {
    console.log(usage(names))
    return 0
  }
  const say = options.json ? console.error : console.log
  const report = earlier ?? (await conducted(options, commandOf(args), say, console.error))
  if (options.write !== undefined) {
    const [page, ...beside] = writePage(report, options.write)
    console.error(`bench: wrote ${page} and ${beside.length} files beside it`)
  }
  if (options.json) console.log(JSON.stringify(report))
  const missed = missedBars(report.rows)
  for (const { name, value, bar, most } of missed)
    console.error(
      `bench: ${name} needs ${most === true ? 'at most ' : ''}${bar}, but got: ${value === null ? 'nothing' : value.toFixed(2)}`,
    )
  for (const line of report.missing) console.error(`bench: ${line}`)
  return missed.length === 0 && report.missing.length === 0 ? 0 : 1
}

/** What measures the same again, wherever that is written to. */
function commandOf(args: readonly string[]): string {
  const kept = args.filter((arg, at) => !arg.startsWith('--write') && args[at - 1] !== '--write')
  return `npm run bench${kept.length === 0 ? '' : ` -- ${kept.join(' ')}`}`
}

function reportIn(file: string): Report {
  try {
    const report: Report = JSON.parse(readFileSync(file, 'utf8'))
    if (Array.isArray(report.rows) && Array.isArray(report.workloads) && Array.isArray(report.studies)) return report
  } catch (cause) {
    throw new UsageError(`--from: needs a file with a report of this benchmark, but got: ${file} (${(cause as Error).message})`)
  }
  throw new UsageError(`--from: needs a file with a report of this benchmark, but got: ${file}`)
}
