/**
 * Runs what was chosen, one after the other, and says what came out while it goes on.
 */
import { STUDIES, WORKLOADS } from '../line-up.ts'
import type { BenchOptions } from './arguments.ts'
import type { Measure } from './closed-loop.ts'
import type { Entrant } from './entrant.ts'
import { machine } from './environment.ts'
import { Fleet } from './fleet.ts'
import { doubtsOf, headingOf, type Report, type Result, type Row, resultsOf, rowsOf, tableOf, verdictsOf } from './report.ts'
import { interleavedRounds, type RoundsPlan, type Run } from './rounds.ts'
import type { Workload } from './workload.ts'

const PLAN: RoundsPlan = { rounds: 9, warmUpMs: 2_000, runMs: 400 }
const QUICK_PLAN: RoundsPlan = { rounds: 1, warmUpMs: 0, runMs: 12 }

/** @param say a line of the result, for people @param tell a line for whoever waits */
export async function conducted(
  { quick, chosen }: BenchOptions,
  command: string,
  say: (line: string) => void,
  tell: (line: string) => void,
): Promise<Report> {
  const plan = quick ? QUICK_PLAN : PLAN
  const workloads = WORKLOADS.filter(({ name }) => chosen.includes(name))
  const studies = STUDIES.filter(({ name }) => chosen.includes(name))
  const results: Result[] = []
  const rows: Row[] = []
  const doubts: string[] = []
  const unjudged: string[] = []
  const studied: Report['studies'][number][] = []
  const host = machine()
  const began = performance.now()
  const total = workloads.length + studies.length
  const progress = (nth: number, name: string): void =>
    tell(`[${nth + 1} of ${total}, ${Math.round((performance.now() - began) / 1_000)} s] ${name}`)
  const fleet = new Fleet(quick)
  try {
    say(headingOf({ command, machine: host, versions: fleet.versions }))
    if (quick) await allOf(workloads, fleet)
    for (const [nth, workload] of workloads.entries()) {
      progress(nth, workload.name)
      if (workload.needsDatabase === true) fleet.needDatabase()
      const entrants = await (quick ? fleet.entrants(workload.entrants) : fleet.onlyEntrants(workload.entrants))
      results.push(...resultsOf(workload, await interleavedRounds(runsOf(workload, entrants), plan)))
      rows.push(...rowsOf(workload, results, !quick))
      doubts.push(...doubtsOf(workload, results))
      say(`\n${tableOf(workload, results)}`)
    }
    // Idle as they are, they would have their share of the machine's memory, and of what it does about that.
    await fleet.stop()
    for (const [nth, { name, title, measure, gates = [] }] of studies.entries()) {
      progress(workloads.length + nth, name)
      const contestants = (names: readonly string[]) => fleet.contestants(names)
      const found = await measure({ quick, say: tell, contestants, serverPid: () => fleet.serverPid(), dismiss: () => fleet.stop() })
      rows.push(...(quick ? found.rows.map((row) => ({ ...row, gated: false })) : found.rows))
      doubts.push(...found.doubts)
      const judged = new Set(found.rows.filter(({ gated }) => gated).map((row) => row.name))
      if (!quick) unjudged.push(...gates.filter((gate) => !judged.has(gate)).map((gate) => `${gate}: needs to be judged, and was not`))
      fleet.note(found.setUps ?? new Map())
      const { text, details, figures = [] } = found
      studied.push({ name, title, text, ...(details !== undefined && { details }), figures })
      say(['', title, text, ...(details === undefined ? [] : [details])].join('\n'))
    }
    const { setUps, versions } = fleet
    const missing = [...fleet.missing, ...unjudged]
    say(
      [
        '',
        Object.entries(versions)
          .map((each) => each.join(' '))
          .join(', '),
        verdictsOf(rows),
        ...doubts,
        ...missing,
      ].join('\n'),
    )
    return {
      command,
      quick,
      rounds: plan.rounds,
      machine: host,
      versions,
      setUps,
      workloads: workloads.map(({ name, title, unit, reference, ours, limits = [] }) => ({ name, title, unit, reference, ours, limits })),
      results,
      rows,
      studies: studied,
      doubts,
      missing,
    }
  } finally {
    await fleet.stop()
  }
}

/** At once, for it is quicker than one workload's after the other's. */
async function allOf(workloads: readonly Workload[], fleet: Fleet): Promise<void> {
  if (workloads.some(({ needsDatabase }) => needsDatabase === true)) fleet.needDatabase()
  await fleet.entrants([...new Set(workloads.flatMap(({ entrants }) => entrants))])
}

function runsOf({ name }: Workload, entrants: readonly Entrant[]): Map<string, Run<Measure>> {
  return new Map(entrants.map((each) => [each.name, (ms) => each.run(name, ms)]))
}
