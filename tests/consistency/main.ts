/**
 * `npm run consistency`: the long forms of what the tests run in short. Exit code 0: the checker found what it had to find, and no more.
 */
import { type CleanReport, runClean } from './clean-run.ts'
import { type ConsistencyCommand, parseOptions, USAGE, UsageError } from './consistency-options.ts'
import { violationText } from './ground.ts'
import { type PlantedReport, runPlanted } from './planted-run.ts'

const TELL_EVERY_MS = 1_000

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let command: ConsistencyCommand | 'help'
  try {
    command = parseOptions(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`consistency: ${error.message}`)
    return 2
  }
  if (command === 'help') {
    console.log(USAGE)
    return 0
  }
  return command.run === 'planted'
    ? tellPlanted(await runPlanted(command.plan, progress()))
    : tellClean(await runClean(command.plan, progress()))
}

/** One line, written over itself in a terminal. */
function progress(): (what: string) => void {
  let nextMs = 0
  return (what) => {
    const nowMs = performance.now()
    if (nowMs < nextMs) return
    nextMs = nowMs + (process.stderr.isTTY ? TELL_EVERY_MS : TELL_EVERY_MS * 15)
    process.stderr.write(process.stderr.isTTY ? `\r${what.padEnd(100)}` : `${what}\n`)
  }
}

function tellPlanted({ planted, found, report, loadSeconds, sweepSeconds, operations }: PlantedReport): number {
  console.log(
    `\n${report.checkedKeys} keys, ${report.checkedCopies} copies judged; written in ${loadSeconds.toFixed(1)} s, swept in ${sweepSeconds.toFixed(1)} s beside ${operations} operations on others`,
  )
  console.log(`planted: ${planted.key} on ${planted.node}`)
  for (const violation of found) console.log(`found:   ${violationText(violation)}`)
  console.log(`nines:   ${report.nines.text}; for readers of the first owner: ${report.primaryNines.text}`)
  const isExact = found.length === 1 && found[0]!.key === planted.key && found[0]!.node === planted.node && report.unjudged === 0
  console.log(
    isExact ? 'found, and nothing else' : `needs just what was planted, but got: ${found.length} findings, ${report.unjudged} unjudged`,
  )
  return isExact ? 0 : 1
}

function tellClean({ found, reports, operations, missed, errors, seconds }: CleanReport): number {
  console.log(
    `\n${operations} operations in ${seconds.toFixed(0)} s, errors: ${JSON.stringify(errors)}, changes that an owner missed: ${missed}`,
  )
  for (const { cache, checkedKeys, suspicions, unjudged, sweeps, nines } of reports) {
    console.log(
      `${cache}: ${checkedKeys} looks, ${sweeps} sweeps, ${suspicions} suspicions, ${unjudged} copies unjudged, nines ${nines.text}`,
    )
  }
  for (const violation of found) console.log(`found: ${violationText(violation)}`)
  console.log(`${found.length} found stale`)
  return found.length === 0 ? 0 : 1
}
