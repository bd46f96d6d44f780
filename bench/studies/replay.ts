/**
 * Recorded reads, replayed: caches in the process with room for 30 % of the objects, and Redis behind them, which has them all.
 *
 * Who chooses better what to keep asks Redis less often. Each library replays each trace in processes that have just begun: once with one reader,
 * where what was answered from its own memory is what Redis was not asked for, by Redis's own count; and some times over with 64, for the rate, for
 * with many readers those who ask for the same at once are hits of nobody's choice. The recorded traces are those of
 * `../shared/data` where that is beside the project; without them a made one is replayed, Zipf with a scan through it.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { Redis } from 'ioredis-6'
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { madeTraces, recordedTraces, type Trace } from '../eviction/traces.ts'
import type { Ground } from '../harness/contestant.ts'
import { ContestantProcess } from '../harness/contestant-process.ts'
import type { Opened } from '../harness/entrant.ts'
import { fill } from '../harness/fill.ts'
import { inTurn } from '../harness/in-turn.ts'
import { catalogue } from '../harness/products.ts'
import { aligned, type Row, whole } from '../harness/report.ts'
import { ratioOf, type Summary, summaryOf } from '../harness/statistics.ts'
import type { Figure, Findings, Study, StudyCall } from '../harness/study.ts'
import type { TaskCall } from '../harness/task.ts'
import { DATA } from './recorded.ts'

const OURS = 'ringtail-near'
const PEERS = ['bentocache-on-two', 'cacheable-on-two', 'cache-manager-on-two', 'layered-loader-on-two']

const MOST_READS = 500_000
const MADE_READS = 200_000
const QUICK_READS = 400
const ROOM_SHARE = 0.3
const PASSES = 2
const READERS = 64
const READS_A_TURN = 64
const TTL_MS = 3_600_000
const PATIENCE_MS = 60_000

interface Replayed {
  readonly trace: string
  readonly name: string
  readonly setUp: Opened
  /** Of passes. */
  readonly rates: readonly number[]
  /** Per cent of the reads. */
  readonly hits: number
}

interface Reading {
  /** Numbers of products, in their order. */
  readonly reads: readonly number[]
  readonly readers: number
}

/** In the contestant's process: puts into its cache what the trace reads. */
export async function fillTrace({ contestant, ground }: TaskCall<unknown>): Promise<void> {
  await fill(contestant, catalogue(ground.products))
}

/** In the contestant's process. @returns reads a second */
export async function replayTrace({ contestant, ground, args: { reads, readers } }: TaskCall<Reading>): Promise<number> {
  const { keys } = catalogue(ground.products)
  let next = 0
  const reader = async (): Promise<void> => {
    while (next < reads.length) {
      const nth = next++
      const id = reads[nth]!
      // What is in memory is answered without the event loop turning.
      if (nth % READS_A_TURN === 0) await turn()
      const product = await contestant.get(keys[id]!)
      if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
    }
  }
  const startMs = performance.now()
  await Promise.all(Array.from({ length: readers }, reader))
  return (reads.length * 1_000) / (performance.now() - startMs)
}

export const replay: Study = {
  name: 'replay',
  title: `recorded reads with room for ${ROOM_SHARE * 100} % of the objects in the process, Redis behind`,
  measure: async (call) => {
    const pairs = tracesFor(call).flatMap((trace) => [OURS, ...PEERS].map((name) => ({ trace, name })))
    return found(await inTurn(pairs, call.quick, ({ trace, name }) => replayed(trace, name, call)))
  },
}

function tracesFor({ quick }: StudyCall): Trace[] {
  const recorded = quick ? [] : recordedTraces(DATA, MOST_READS)
  return recorded.length > 0 ? recorded : madeTraces(quick ? QUICK_READS : MADE_READS).filter(({ name }) => name === 'made-scans')
}

async function replayed(trace: Trace, name: string, { quick, say }: StudyCall): Promise<Replayed> {
  const reads = numbersOf(trace)
  const server = await startRedisServer()
  const rates: number[] = []
  let hits: number
  let setUp: Opened
  const pass = async (readers: number): Promise<number> => {
    let rate = 0
    await inProcess(name, trace, server, async (contestant) => {
      rate = await contestant.do<number>('replayTrace', { reads, readers }, PATIENCE_MS)
    })
    return rate
  }
  try {
    setUp = await inProcess(name, trace, server, (contestant) => contestant.do('fillTrace', undefined, PATIENCE_MS))
    const before = await askedFor(server)
    const first = await pass(quick ? READERS : 1)
    hits = 100 * (1 - ((await askedFor(server)) - before) / reads.length)
    if (quick) rates.push(first)
    else for (let nth = 0; nth < PASSES; nth++) rates.push(await pass(READERS))
  } finally {
    await server.stop()
  }
  say(`replay: ${trace.name}: ${name} ${whole(summaryOf(rates).median)} reads/s, ${hits.toFixed(2)} % from memory`)
  return { trace: trace.name, name, setUp, rates, hits }
}

/** As numbers of products: a made trace leaves some out. */
function numbersOf({ keys }: Trace): number[] {
  const numbers = new Map<number, number>()
  return Array.from(keys, (key) => {
    const number = numbers.get(key) ?? numbers.size
    numbers.set(key, number)
    return number
  })
}

async function inProcess(
  name: string,
  { distinct }: Trace,
  server: RedisServer,
  work: (contestant: ContestantProcess) => Promise<unknown>,
): Promise<Opened> {
  const contestant = new ContestantProcess(name)
  try {
    const ground: Ground = {
      urls: [server.url],
      database: '',
      ttlMs: TTL_MS,
      products: distinct,
      room: Math.ceil(distinct * ROOM_SHARE),
    }
    const opened = await contestant.open(ground)
    await work(contestant)
    return opened
  } finally {
    await contestant.close()
  }
}

/** Keys that were looked up on the server so far. */
async function askedFor(server: RedisServer): Promise<number> {
  const client = new Redis(server.url)
  const stats = await client.info('stats')
  client.disconnect()
  return Number(/keyspace_hits:(\d+)/.exec(stats)?.[1]) + Number(/keyspace_misses:(\d+)/.exec(stats)?.[1])
}

function found(all: readonly Replayed[]): Findings {
  const traces = [...new Set(all.map(({ trace }) => trace))]
  const lines = all.map(({ trace, name, rates, hits }) => [`  ${trace}`, name, whole(summaryOf(rates).median), hits.toFixed(2)])
  return {
    rows: traces.flatMap((trace) => rowsOf(all.filter((each) => each.trace === trace))),
    text: aligned([['', 'contestant', 'median reads/s', '% from memory'], ...lines]).join('\n'),
    doubts: [],
    setUps: new Map(all.map(({ name, setUp }) => [name, setUp])),
    figures: traces.flatMap((trace) => figuresOf(all.filter((each) => each.trace === trace))),
  }
}

function rowsOf([ours, ...peers]: readonly Replayed[]): Row[] {
  const row = (name: string, unit: string, mine: readonly number[], theirs: readonly number[]): Row => {
    const ratio: Summary = ratioOf(mine, theirs)
    const [us, them] = [mine, theirs].map((each) => summaryOf(each).median)
    return { name, value: ratio.median, bar: null, gated: false, ours: us!, peer: them!, unit, spread: [ratio.min, ratio.max] }
  }
  return peers.flatMap(({ trace, name, rates, hits }) => [
    row(`replay/${trace}/${name}`, 'reads/s', ours!.rates, rates),
    row(`replay/${trace} hits/${name}`, '% from memory', [ours!.hits], [hits]),
  ])
}

function figuresOf(some: readonly Replayed[]): Figure[] {
  const { trace } = some[0]!
  const figure = (name: string, title: string, unit: string, figures: (each: Replayed) => readonly number[]): Figure => ({
    kind: 'bars',
    name: `replay-${trace}-${name}`,
    title: `${trace}: ${title}`,
    unit,
    bars: some.map((each) => {
      const { median, min, max } = summaryOf(figures(each))
      return {
        label: each.name,
        value: median,
        ...(max > min && { spread: [min, max] as const }),
        whose: each.name === OURS ? 'ours' : 'peer',
      }
    }),
  })
  return [
    figure('rates', 'reads a second', 'reads/s', ({ rates }) => rates),
    figure('hits', 'reads answered from memory', '% of the reads', ({ hits }) => [hits]),
  ]
}
