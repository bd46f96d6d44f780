/**
 * `npm run simulate`: as many seeds as one likes.
 *
 * The test command runs the first few hundred; this runs the rest, or one of them again with all that happened in it. A seed that fails is
 * run once more, recorded, for the report is made of steps that are not kept otherwise.
 */
import { parseOptions, type SimulateOptions, USAGE, UsageError } from './arguments.ts'
import { PLANTED_BUGS } from './planted-bugs.ts'
import { failureText, replayCommand, summaryText, traceText } from './report.ts'
import { shrink } from './shrink.ts'
import { type Outcome, runPlan, runSeed } from './simulation.ts'

/** Failing seeds told of in full; all are counted. */
const MAX_TOLD = 10
const PROGRESS_EVERY_MS = 2_000

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: SimulateOptions | 'help'
  try {
    options = parseOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`simulate: ${error.message}`)
    return 2
  }
  if (options === 'help') {
    console.log(USAGE)
    return 0
  }
  return (await simulated(options)) === 0 ? 0 : 1
}

/** @returns how many seeds failed */
async function simulated(options: SimulateOptions): Promise<number> {
  const say = options.json ? console.error : console.log
  const startMs = performance.now()
  const startCpu = process.cpuUsage()
  const failing: number[] = []
  let toldMs = startMs
  let judged = 0
  for (let seed = options.from; seed < options.from + options.seeds; seed++) {
    const outcome = await runSeed(seed, runOptions(options))
    judged += outcome.judged
    if (options.seeds === 1) say(summaryText(outcome))
    if (outcome.violations.length > 0) {
      failing.push(seed)
      if (failing.length <= MAX_TOLD) say(await toldOf(outcome, options))
    } else if (options.trace && options.seeds === 1) say(traceText(await runPlan(outcome.plan, { ...runOptions(options), record: true })))
    if (performance.now() - toldMs > PROGRESS_EVERY_MS) {
      toldMs = performance.now()
      process.stderr.write(`${seed - options.from + 1} of ${options.seeds} seeds, ${failing.length} failing\n`)
    }
  }
  const { user, system } = process.cpuUsage(startCpu)
  const seconds = (performance.now() - startMs) / 1_000
  const perMinute = (options.seeds / seconds) * 60
  const perCoreMinute = (options.seeds / ((user + system) / 1_000_000)) * 60
  const speed = `${perMinute.toFixed(0)} seeds a minute, ${perCoreMinute.toFixed(0)} a minute of one core`
  say(`${options.seeds} seeds, ${judged} reads and writes judged, ${failing.length} seeds failing; ${speed}`)
  if (options.json) {
    const replay = failing.map((seed) => replayCommand(seed, options.bug))
    console.log(
      JSON.stringify({ seeds: options.seeds, from: options.from, bug: options.bug, judged, failing, replay, perMinute, perCoreMinute }),
    )
  }
  return failing.length
}

async function toldOf(failed: Outcome, options: SimulateOptions): Promise<string> {
  const smaller = options.shrink ? await shrink(failed, runOptions(options)) : failed
  const lines = [failureText(smaller, options.bug)]
  if (smaller !== failed) {
    lines.push(
      `  made smaller: ${smaller.plan.operations.length} operations and ${smaller.plan.faults.length} faults, ` +
        `of ${failed.plan.operations.length} and ${failed.plan.faults.length}`,
    )
  }
  if (options.trace) lines.push(traceText(await runPlan(smaller.plan, { ...runOptions(options), record: true })))
  return lines.join('\n')
}

function runOptions({ bug }: SimulateOptions) {
  return { bug: bug === undefined ? undefined : PLANTED_BUGS[bug] }
}
