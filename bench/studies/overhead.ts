/**
 * What breaker, health and metrics cost together: hits of Ringtail, and of the same cache without them, with 256 in flight.
 *
 * Little is to be told apart, and two processes of the same make differ by more than that in how their code was compiled. So each of the two is
 * run in several processes, in interleaved rounds; what is compared is the mean of their medians.
 */
import { startRedisServer } from 'ringtail/testing'
import type { Measure } from '../harness/closed-loop.ts'
import type { Ground } from '../harness/contestant.ts'
import { ContestantProcess } from '../harness/contestant-process.ts'
import type { Opened } from '../harness/entrant.ts'
import { inTurn } from '../harness/in-turn.ts'
import { PRODUCTS } from '../harness/products.ts'
import { aligned, whole } from '../harness/report.ts'
import { interleavedRounds, type RoundsPlan, type Run } from '../harness/rounds.ts'
import { summaryOf } from '../harness/statistics.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'

const WATCHED = 'ringtail'
const BARE = 'ringtail-bare'
const PROCESSES = 4
const PLAN: RoundsPlan = { rounds: 6, warmUpMs: 1_000, runMs: 1_000 }
const QUICK_PLAN: RoundsPlan = { rounds: 1, warmUpMs: 0, runMs: 10 }
/** Of the throughput without them. */
const LEAST_SHARE = 0.95
const TTL_MS = 3_600_000

interface Pair {
  readonly watched: number
  readonly bare: number
  /** µs a get. */
  readonly watchedCpuUs: number
  readonly bareCpuUs: number
}

export const overhead: Study = {
  name: 'overhead',
  title: 'breaker, health and metrics: hits with and without, 256 in flight',
  measure: async (call) => {
    const server = await startRedisServer()
    const ground: Ground = { urls: [server.url], database: '', ttlMs: TTL_MS, products: call.quick ? 100 : PRODUCTS, room: PRODUCTS }
    const pairs = Array.from({ length: call.quick ? 1 : PROCESSES }, () => [new ContestantProcess(WATCHED), new ContestantProcess(BARE)])
    try {
      const setUps = new Map<string, Opened>()
      await inTurn(pairs.flat(), call.quick, async (each) => setUps.set(each.name, await each.open(ground)))
      return { ...found(await measured(pairs, call)), setUps }
    } finally {
      await Promise.allSettled(pairs.flat().map((each) => each.close()))
      await server.stop()
    }
  },
}

async function measured(pairs: readonly (readonly ContestantProcess[])[], { quick }: StudyCall): Promise<Pair[]> {
  const runs = new Map(
    pairs.flatMap((pair, nth) => pair.map((each): [string, Run<Measure>] => [`${each.name} ${nth}`, (ms) => each.run('hits-256', ms)])),
  )
  const measures = await interleavedRounds(runs, quick ? QUICK_PLAN : PLAN)
  const median = (name: string, nth: number, of: 'rate' | 'cpuUs'): number =>
    summaryOf(measures.get(`${name} ${nth}`)!.map((each) => each[of])).median
  return pairs.map((_, nth) => ({
    watched: median(WATCHED, nth, 'rate'),
    bare: median(BARE, nth, 'rate'),
    watchedCpuUs: median(WATCHED, nth, 'cpuUs'),
    bareCpuUs: median(BARE, nth, 'cpuUs'),
  }))
}

function found(pairs: readonly Pair[]): Findings {
  const [ours, bare] = [mean(pairs.map(({ watched }) => watched)), mean(pairs.map((pair) => pair.bare))]
  const ratios = summaryOf(pairs.map((pair) => pair.watched / pair.bare))
  const lines = pairs.map((pair, nth) => [
    `  ${nth + 1}`,
    whole(pair.watched),
    whole(pair.bare),
    (pair.watched / pair.bare).toFixed(3),
    pair.watchedCpuUs.toFixed(2),
    pair.bareCpuUs.toFixed(2),
  ])
  const head = ['  processes', 'gets/s with', 'without', 'share kept', 'CPU µs with', 'without']
  return {
    rows: [
      {
        name: `overhead/${BARE}`,
        value: ours / bare,
        bar: LEAST_SHARE,
        gated: true,
        ours,
        peer: bare,
        unit: 'gets/s',
        spread: [ratios.min, ratios.max],
      },
    ],
    text: aligned([head, ...lines]).join('\n'),
    doubts: [],
    figures: [
      {
        kind: 'bars',
        name: 'overhead',
        title: 'Hits with and without breaker, health and metrics',
        unit: 'gets/s, mean of processes',
        bars: [
          { label: WATCHED, value: ours, spread: spreadOf(pairs.map(({ watched }) => watched)), whose: 'ours' },
          { label: BARE, value: bare, spread: spreadOf(pairs.map((pair) => pair.bare)), whose: 'limit' },
        ],
      },
    ],
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length
}

function spreadOf(numbers: readonly number[]): [number, number] {
  return [Math.min(...numbers), Math.max(...numbers)]
}
