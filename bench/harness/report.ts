/**
 * What came out: figures by contestant, and a row for each comparison, with its bar where there is one.
 */
import type { Measure } from './closed-loop.ts'
import type { Machine } from './environment.ts'
import type { Row } from './row.ts'
import { ratioOf, type Summary, summaryOf } from './statistics.ts'
import type { Figure, Findings, Study } from './study.ts'
import type { Workload } from './workload.ts'

export type { Row } from './row.ts'

/** From here on callers keep a process busy. */
const BUSY_IN_FLIGHT = 64
/** A process that is its own bottleneck gets about 0.95 of a core. */
const STARVED_CORES = 0.7

/** One contestant in one workload; figures in the workload's unit. */
export interface Result extends Summary {
  readonly workload: string
  readonly contestant: string
  readonly unit: string
  readonly rounds: readonly number[]
  /** Median processor time a turn, µs, of the process that asks. */
  readonly cpuUs: number
  /** Median processor time that it got, in cores. */
  readonly cores: number
}

export interface Report {
  readonly command: string
  readonly quick: boolean
  readonly rounds: number
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  readonly setUps: Readonly<Record<string, string>>
  readonly workloads: readonly Required<Pick<Workload, 'name' | 'title' | 'unit' | 'reference' | 'ours' | 'limits'>>[]
  readonly results: readonly Result[]
  readonly rows: readonly Row[]
  /** Why figures may be worth less than they look; empty on a quiet machine. */
  readonly doubts: readonly string[]
  readonly studies: readonly Studied[]
  /** Who of the line-up could not take part on this machine, and why: rows are missing. */
  readonly missing: readonly string[]
}

export interface Studied extends Pick<Study, 'name' | 'title'>, Pick<Findings, 'text' | 'details'> {
  readonly figures: readonly Figure[]
}

/** @param measures by contestant, one a round */
export function resultsOf(workload: Workload, measures: ReadonlyMap<string, readonly Measure[]>): Result[] {
  return [...measures].map(([contestant, each]) => ({
    workload: workload.name,
    contestant,
    unit: workload.unit,
    ...summaryOf(each.map(({ rate }) => rate)),
    rounds: each.map(({ rate }) => rate),
    cpuUs: summaryOf(each.map(({ cpuUs }) => cpuUs)).median,
    cores: summaryOf(each.map(({ cores }) => cores)).median,
  }))
}

/** Each of ours beside each peer. @param judged whether bars count: they do not in a smoke run */
export function rowsOf(workload: Workload, results: readonly Result[], judged: boolean): Row[] {
  const { ours } = workload
  const find = (name: string) => results.find((result) => result.contestant === name && result.workload === workload.name)
  return ours.flatMap((name, at) => {
    const mine = find(name)
    if (mine === undefined) return []
    const itself: Row[] =
      workload.least === undefined || at > 0
        ? []
        : [
            {
              name: workload.name,
              value: mine.median,
              bar: workload.least,
              gated: judged,
              ours: mine.median,
              peer: null,
              unit: workload.unit,
              spread: [mine.min, mine.max],
            },
          ]
    const besides = results
      .filter((result) => result.workload === workload.name && !ours.includes(result.contestant))
      .map((theirs): Row => {
        const ratio = ratioOf(mine.rounds, theirs.rounds)
        const against = `${theirs.contestant}${at === 0 ? '' : ` (${name})`}`
        const bar = workload.bars[against] ?? null
        return {
          name: `${workload.name}/${against}`,
          value: ratio.median,
          bar,
          gated: judged && bar !== null,
          ours: mine.median,
          peer: theirs.median,
          unit: workload.unit,
          spread: [ratio.min, ratio.max],
        }
      })
    return [...itself, ...besides]
  })
}

/** The gated rows that did not reach their bar. What is not a number, in a report from a file null, did not. */
export function missedBars(rows: readonly Row[]): Row[] {
  const reaches = ({ bar, value, most }: Row): boolean => Number.isFinite(value) && (most === true ? value <= bar! : value >= bar!)
  return rows.filter((row) => row.gated && row.bar !== null && !reaches(row))
}

/**
 * What to doubt a workload's figures for, if anything. With many callers in flight the process that asks is the bottleneck; where it got
 * far less than a core, others had it, every caller waited for the scheduler rather than for the library, and all ratios drift towards 1.
 */
export function doubtsOf(workload: Workload, results: readonly Result[]): string[] {
  if (workload.inFlight < BUSY_IN_FLIGHT) return []
  const starved = results.filter((result) => result.workload === workload.name && result.cores < STARVED_CORES)
  return starved.map(({ contestant, cores }) => `${workload.name}: ${contestant} got ${cores.toFixed(2)} of a core: the machine was busy`)
}

export function headingOf({ command, machine, versions }: Pick<Report, 'command' | 'machine' | 'versions'>): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `${command}\n${machineLine(machine)}\n${packages.join(', ')}`
}

export function machineLine({ cpu, cores, memoryGiB, system }: Machine): string {
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}`
}

/** A workload's figures, a line a contestant, beside those of its reference. */
export function tableOf(workload: Workload, results: readonly Result[]): string {
  const { reference } = workload
  const own = results.filter((result) => result.workload === workload.name)
  const base = own.find((result) => result.contestant === reference)
  const head = ['', `median ${workload.unit}`, 'lowest – highest round', base === undefined ? '' : `× ${reference}`, 'CPU µs', 'cores']
  const lines = own.map((result) => [
    `  ${result.contestant}`,
    whole(result.median),
    `${whole(result.min)} – ${whole(result.max)}`,
    base === undefined ? '' : ratio(result.median / base.median),
    Number.isNaN(result.cpuUs) ? '' : result.cpuUs.toFixed(1),
    Number.isNaN(result.cores) ? '' : result.cores.toFixed(2),
  ])
  return [workload.title, ...aligned([head, ...lines])].join('\n')
}

/** The comparisons that have a bar, a line each. */
export function verdictsOf(rows: readonly Row[]): string {
  return rows
    .filter(({ bar }) => bar !== null)
    .map((row) => {
      const verdict = row.gated ? (missedBars([row]).length === 0 ? 'met' : 'MISSED') : 'not judged'
      const text = row.peer === null ? figure : ratio
      return `${row.name}: ${text(row.value)} (rounds ${row.spread.map(text).join(' – ')}), needs ${row.most === true ? 'at most ' : ''}${row.bar}: ${verdict}`
    })
    .join('\n')
}

export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('   '))
}

export function whole(figure: number): string {
  return Math.round(figure).toLocaleString('en-US')
}

/** In the unit of its row. */
function figure(value: number): string {
  return value >= 1_000 ? whole(value) : String(Number(value.toPrecision(4)))
}

function ratio(value: number): string {
  return value.toFixed(value < 1 ? 3 : 2)
}
