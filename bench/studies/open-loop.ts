/**
 * How many reads a second can arrive while 99 of 100 are answered within a millisecond: Ringtail beside its peers, in an open loop on one node.
 *
 * Arrivals and library share a process, Redis has the other core (`harness/cores.ts`). Each library is alone with a server, and first asked as
 * quickly as it can answer for some seconds, until what is compiled beside it, on the server's core, is compiled. Then Ringtail at 100,000 a
 * second, some times over: a run in which arrivals were themselves let in late says nothing, is made again, and is told of. Then everybody's
 * highest rate, by search: up by half as long as the bound is kept, then between the last that kept it and the first that did not, to within an
 * eighth. What was missed is tried again, twice at most: a shared machine's pauses only ever make it worse, and one is enough. And everybody at the
 * same rates, up to the first that is more than it can answer.
 */
import type { ContestantProcess } from '../harness/contestant-process.ts'
import { pinned } from '../harness/cores.ts'
import { type ArrivalPlan, type Arrivals, openLoop } from '../harness/open-loop.ts'
import { catalogue, productOfTurn } from '../harness/products.ts'
import { aligned, type Row, whole } from '../harness/report.ts'
import { ratioOf, summaryOf } from '../harness/statistics.ts'
import type { CurvesFigure, Figure, Findings, Study, StudyCall } from '../harness/study.ts'
import type { TaskCall } from '../harness/task.ts'

const OURS = 'ringtail'
const PEERS = ['ioredis', 'ioredis-auto-pipelining', 'node-redis', 'glide', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader']

const FIXED_RATE = 100_000
const FIXED_RUNS = 5
const FIXED_TRIES = 12
const FIXED_MS = 3_000
/** Of 99 % of the reads, ms. */
const BOUND_MS = 1
/** Of 99 % of the arrivals, ms: more, and the run is void. */
const LAG_BOUND_MS = 0.2
const BEST_PEER_TIMES = 2.5

const LOWEST_RATE = 8_000
const STEP_UP = 1.5
const BISECTIONS = 2
const TRIES = 3
const PASSES = 2
/** Everybody's, before anything is measured: asked by as many callers as wait, then by arrivals at a rate that nearly all bear. */
const FIRST_MS = 4_000
const FIRST_ARRIVALS: ArrivalPlan = { rate: 20_000, warmUpMs: 0, ms: 2_000 }
const WARM_UP_MS = 300
const STEP_MS = 900
/** Everybody's, beside the search. */
const RATES = [10_000, 25_000, 50_000, 100_000]
const RATE_MS = 800
const RATE_RUNS = 3

/** In the contestant's process. */
export async function arrivals({ contestant, ground, args }: TaskCall<ArrivalPlan>): Promise<Arrivals> {
  const { keys } = catalogue(ground.products)
  const idOf = (nth: number): number => productOfTurn(nth, keys.length)
  return openLoop({ call: (nth) => contestant.get(keys[idOf(nth)]!), isRight: (product, nth) => product?.id === idOf(nth) }, args)
}

export const openLoopStudy: Study = {
  name: 'open-loop',
  title: `open loop: hits a second with ${BOUND_MS} ms for 99 of 100, from when each was due`,
  gates: [`open-loop/p99 at ${whole(FIXED_RATE)} a second`],
  measure: (call) => (call.quick ? gone(call) : measured(call)),
}

/** Everybody's highest rate, a pass each, and all that was tried. */
interface Climb {
  readonly name: string
  readonly rates: number[]
  readonly tried: Arrivals[]
  /** At `RATES`, as far as it got. */
  readonly atRates: Arrivals[]
}

async function measured(call: StudyCall): Promise<Findings> {
  const { say } = call
  const names = [OURS, ...PEERS]
  const climbs = names.map((name): Climb => ({ name, rates: [], tried: [], atRates: [] }))
  const doubts = new Set<string>()
  const alone = async (name: string, work: (contestant: ContestantProcess) => Promise<void>): Promise<void> => {
    const doubt = await warmAlone(call, name, work)
    if (doubt !== undefined) doubts.add(`open loop: ${doubt}`)
  }
  const fixed: Arrivals[] = []
  await alone(OURS, async (ours) => void fixed.push(...(await atFixedRate(ours, say))))
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [at, name] of names.entries()) await alone(name, (each) => climb(each, climbs[at]!))
    say(
      `open loop: pass ${pass + 1}: ${climbs.map(({ name, rates }) => `${name} ${rates.length > pass ? whole(rates.at(-1)!) : 'missing'}`).join(', ')}`,
    )
  }
  for (const [at, name] of names.entries()) await alone(name, async (each) => void climbs[at]!.atRates.push(...(await atEachRate(each))))
  const findings = found(
    fixed,
    climbs.filter(({ rates }) => rates.length > 0),
  )
  return { ...findings, doubts: [...findings.doubts, ...doubts] }
}

/** With nobody else on the machine, and warm. @returns what is to be doubted of it */
async function warmAlone(
  { contestants, serverPid, dismiss }: StudyCall,
  name: string,
  work: (contestant: ContestantProcess) => Promise<void>,
): Promise<string | undefined> {
  try {
    const [contestant] = await contestants([name])
    if (contestant === undefined) return undefined
    const { doubt } = pinned(await serverPid(), contestant.pid)
    await contestant.run('hits-64', FIRST_MS)
    await attempt(contestant, FIRST_ARRIVALS)
    await work(contestant)
    return doubt
  } finally {
    await dismiss()
  }
}

/** Goes through it: at rates that everybody bears. */
async function gone({ contestants }: StudyCall): Promise<Findings> {
  const all = await contestants([OURS, ...PEERS])
  const climbs: Climb[] = []
  for (const each of all) {
    const tried = await attempt(each, { rate: 1_000, warmUpMs: 0, ms: 20 })
    climbs.push({ name: each.name, rates: [tried.rate], tried: [tried], atRates: [tried] })
  }
  return found(climbs[0]!.tried, climbs)
}

/** Until enough were not void. @returns all of them */
async function atFixedRate(ours: ContestantProcess, say: StudyCall['say']): Promise<Arrivals[]> {
  const runs: Arrivals[] = []
  while (runs.length < FIXED_TRIES && runs.filter((run) => !isVoid(run)).length < FIXED_RUNS) {
    const run = await attempt(ours, { rate: FIXED_RATE, warmUpMs: WARM_UP_MS, ms: FIXED_MS })
    say(`open loop: ${lineOf(run)}`)
    runs.push(run)
  }
  return runs
}

/** @returns the middle one of each rate's runs, by p99, up to the first rate at which too many waited each time */
async function atEachRate(contestant: ContestantProcess): Promise<Arrivals[]> {
  const middle: Arrivals[] = []
  for (const rate of RATES) {
    const runs: Arrivals[] = []
    for (let nth = 0; nth < RATE_RUNS; nth++) runs.push(await attempt(contestant, { rate, warmUpMs: WARM_UP_MS, ms: RATE_MS }))
    const timeOf = (run: Arrivals): number => (run.overrun || run.failed > 0 ? Number.POSITIVE_INFINITY : run.p99Ms)
    middle.push(runs.sort((one, other) => timeOf(one) - timeOf(other))[Math.floor(RATE_RUNS / 2)]!)
    if (runs.every((run) => timeOf(run) === Number.POSITIVE_INFINITY)) break
  }
  return middle
}

/** Whether so many arrivals were let in late that it says more of the machine, or the generator, than of the library. */
function isVoid({ lagP99Ms }: Arrivals): boolean {
  return lagP99Ms > LAG_BOUND_MS
}

async function climb(contestant: ContestantProcess, { rates, tried }: Climb): Promise<void> {
  const keeps = async (rate: number): Promise<boolean> => {
    for (let tries = 0; tries < TRIES; tries++) {
      const run = await attempt(contestant, { rate: Math.round(rate), warmUpMs: WARM_UP_MS, ms: STEP_MS })
      tried.push(run)
      if (isKept(run)) return true
    }
    return false
  }
  let low = 0
  // Later passes begin a step below what the one before came to.
  let rate = Math.max(LOWEST_RATE, (rates.at(-1) ?? 0) / STEP_UP)
  while (await keeps(rate)) {
    low = rate
    rate *= STEP_UP
  }
  let high = rate
  for (let step = 0; low === 0 && step < BISECTIONS; step++) {
    rate = high / STEP_UP
    if (await keeps(rate)) low = rate
    else high = rate
  }
  for (let step = 0; low > 0 && step < BISECTIONS; step++) {
    rate = Math.sqrt(low * high)
    if (await keeps(rate)) low = rate
    else high = rate
  }
  rates.push(Math.round(low))
}

function isKept({ p99Ms, failed, overrun }: Arrivals): boolean {
  return p99Ms < BOUND_MS && failed === 0 && !overrun
}

function attempt(contestant: ContestantProcess, plan: ArrivalPlan): Promise<Arrivals> {
  return contestant.do<Arrivals>('arrivals', plan, plan.warmUpMs + plan.ms)
}

function found(fixed: readonly Arrivals[], climbs: readonly Climb[]): Findings {
  const [ours, ...peers] = climbs
  const voids = fixed.filter(isVoid).length
  const fixedRow = fixedRowOf(fixed.filter((run) => !isVoid(run)))
  const rows = peers.map(({ name, rates, tried }): Row => {
    // Of one that kept none, no more is known than that it is below the lowest that was tried.
    const below = Math.min(...tried.map(({ rate }) => rate))
    const atMost = rates.map((rate) => (rate === 0 ? below : rate))
    const ratio = ratioOf(ours!.rates, atMost)
    const [mine, theirs] = [ours!.rates, atMost].map((each) => summaryOf(each).median)
    return {
      name: `open-loop/${name}`,
      value: ratio.median,
      bar: BEST_PEER_TIMES,
      gated: true,
      ours: mine!,
      peer: theirs!,
      unit: 'gets/s',
      spread: [ratio.min, ratio.max],
    }
  })
  const told = `open loop: ${voids} of ${fixed.length} runs at ${whole(FIXED_RATE)} a second were void: arrivals were let in late`
  const doubts = voids === 0 ? [] : [told]
  return { rows: [fixedRow, ...rows], text: textOf(fixed, climbs), doubts, figures: figuresOf(climbs) }
}

function fixedRowOf(fixed: readonly Arrivals[]): Row {
  // What failed, or was never answered, was not answered in time.
  const times = fixed.map((run) => (run.failed > 0 || run.overrun ? Number.POSITIVE_INFINITY : run.p99Ms))
  const { median, min, max } = times.length === 0 ? { median: Number.NaN, min: Number.NaN, max: Number.NaN } : summaryOf(times)
  const name = `open-loop/p99 at ${whole(FIXED_RATE)} a second`
  return { name, value: median, bar: BOUND_MS, most: true, gated: true, ours: median, peer: null, unit: 'ms', spread: [min, max] }
}

function textOf(fixed: readonly Arrivals[], climbs: readonly Climb[]): string {
  const lines = climbs.map(({ name, rates, tried }) => {
    const best = tried.filter(isKept).sort((a, b) => b.rate - a.rate)[0]
    const times = best === undefined ? ['', '', ''] : [best.p50Ms, best.p99Ms, best.lagP99Ms].map((ms) => ms.toFixed(3))
    return [`  ${name}`, whole(summaryOf(rates).median), rates.map(whole).join(', '), ...times]
  })
  const head = ['', 'highest rate', 'passes', 'p50 ms', 'p99 ms', 'let in late, p99 ms']
  return [...fixed.map((run) => `  ringtail: ${lineOf(run)}`), ...aligned([head, ...lines]), '', ...atRatesOf(climbs)].join('\n')
}

/** p50 and p99 of everybody at the same rates. */
function atRatesOf(climbs: readonly Climb[]): string[] {
  const rates = [...new Set(climbs.flatMap(({ atRates }) => atRates.map(({ rate }) => rate)))].sort((a, b) => a - b)
  const lines = climbs.map(({ name, atRates }) => [`  ${name}`, ...rates.map((each) => timesOf(atRates.find(({ rate }) => rate === each)))])
  return aligned([['  p50 and p99, ms, at', ...rates.map(whole)], ...lines])
}

/** Of a run in which too many waited, or some failed, there are none. */
function timesOf(run: Arrivals | undefined): string {
  if (run === undefined) return ''
  if (run.overrun) return 'too many'
  if (run.failed > 0) return `${whole(run.failed)} failed`
  return `${run.p50Ms.toFixed(2)} ${run.p99Ms.toFixed(2)}${isVoid(run) ? ' (late)' : ''}`
}

function lineOf(run: Arrivals): string {
  const { rate, p50Ms, p99Ms, p999Ms, lagP99Ms, failed, overrun } = run
  const times = `p50 ${p50Ms.toFixed(3)}, p99 ${p99Ms.toFixed(3)}, p99.9 ${p999Ms.toFixed(3)} ms, let in late by p99 ${lagP99Ms.toFixed(3)} ms`
  const ends = [failed > 0 && `${failed} failed`, overrun && 'overrun', isVoid(run) && 'void: arrivals came late'].filter(
    (each) => each !== false,
  )
  return [`${whole(rate)} a second: ${times}`, ...ends].join(', ')
}

function figuresOf(climbs: readonly Climb[]): Figure[] {
  const curves = climbs.map(({ name, tried }): CurvesFigure['curves'][number] => {
    // Of what was tried twice, the better.
    const byRate = new Map<number, number>()
    for (const { rate, p99Ms } of tried) byRate.set(rate, Math.min(p99Ms, byRate.get(rate) ?? Number.POSITIVE_INFINITY))
    const points = [...byRate].filter(([, ms]) => Number.isFinite(ms)).sort(([a], [b]) => a - b)
    return { label: name, whose: name === OURS ? 'ours' : 'peer', points }
  })
  return [
    {
      kind: 'bars',
      name: 'open-loop-rates',
      title: `Highest rate of arrivals with 99 of 100 answered within ${BOUND_MS} ms`,
      unit: 'gets/s',
      bars: climbs.map(({ name, rates }) => {
        const { median, min, max } = summaryOf(rates)
        return { label: name, value: median, spread: [min, max], whose: name === OURS ? 'ours' : 'peer' }
      }),
    },
    {
      kind: 'curves',
      name: 'open-loop-latency',
      title: 'Latency by rate of arrivals, 99th percentile',
      x: { label: 'arrivals a second', scale: 'log' },
      y: { label: 'p99, ms from when each was due', scale: 'log', most: 10, bound: BOUND_MS },
      curves,
    },
  ]
}
