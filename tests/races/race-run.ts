/**
 * A race: several processes read, write, update and delete the same few keys, held at the worst moments, and what they recorded is judged.
 *
 * The conductor starts the processes, lets one meddle with whatever another holds, sends clients with their sessions from one to the next,
 * and when all are done and closed reads what lies on every node and, through a tier of its own, every key once more: at rest nothing may be old, and owners may not differ.
 */
import { hashRing, type Random } from '../../src/index.ts'
import {
  checkHistory,
  checkReplicas,
  type HistoryReport,
  type HistoryValue,
  type Operation,
  type ReplicasReport,
  readHistory,
  seededRandom,
  sharedMs,
} from '../../src/testing/index.ts'
import { ForkedWorker } from '../support/forked-worker.ts'
import { type Lateness, latenessOf } from './lateness.ts'
import { dumpNodes } from './node-dumps.ts'
import { RaceGround } from './race-ground.ts'
import { historyFile, type RaceCounts, type RaceOrder, type RaceTold } from './race-messages.ts'
import { keyOf, RACED_CACHES, type RacePlan } from './race-plan.ts'
import { openRacedTier } from './raced-tier.ts'
import type { Protection } from './weakened-node.ts'

type RaceProcess = ForkedWorker<RaceOrder, RaceTold>

export interface RaceReport {
  readonly plan: RacePlan
  readonly seconds: number
  readonly counts: RaceCounts
  readonly caches: Readonly<Record<string, CacheRaceReport>>
  readonly replicas: ReplicasReport
  /** Of all caches, and of replicas at rest. */
  readonly violations: number
}

export interface CacheRaceReport extends HistoryReport {
  readonly lateness: Lateness
}

export interface RaceOptions {
  readonly without?: Protection
  /** Told of progress, now and then. */
  readonly hear?: (done: number) => void
}

const WORKER = new URL('./race-worker.ts', import.meta.url)
const ANSWER_WITHIN_MS = 30_000

export async function runRace(plan: RacePlan, options: RaceOptions = {}): Promise<RaceReport> {
  const ground = await RaceGround.prepare()
  const conductor = new Conductor(plan, options.hear ?? (() => {}))
  try {
    const startMs = sharedMs()
    const counts = await conductor.race(ground, options.without)
    const seconds = (sharedMs() - startMs) / 1_000
    const { last, replicas } = await atRest(ground, plan)
    const caches = Object.fromEntries(
      RACED_CACHES.map(({ name, rules }) => [name, judged(name, rules, ground.folder, plan, last.get(name)!, new Set(counts.raised))]),
    )
    const found = Object.values(caches).flatMap((report) => Object.values(report.counts))
    return { plan, seconds, counts, caches, replicas, violations: found.reduce((sum, each) => sum + each, replicas.diverged) }
  } finally {
    await conductor.close()
    await ground.stop()
  }
}

class Conductor {
  readonly #plan: RacePlan
  readonly #random: Random
  readonly #hear: (done: number) => void
  readonly #processes: RaceProcess[]
  #done = 0

  constructor(plan: RacePlan, hear: (done: number) => void) {
    this.#plan = plan
    this.#random = seededRandom(plan.seed)
    this.#hear = hear
    this.#processes = Array.from({ length: plan.processes }, () => new ForkedWorker(WORKER, this.#told))
  }

  async race(ground: RaceGround, without: Protection | undefined): Promise<RaceCounts> {
    const { nodes, database, folder } = ground
    const all = <T>(orderOf: (process: number) => RaceOrder, withinMs: number): Promise<T[]> =>
      Promise.all(this.#processes.map((each, process) => each.ask<T>(orderOf(process), withinMs)))
    await all((process) => ({ do: 'open', setting: { process, nodes, database, folder, plan: this.#plan, without } }), ANSWER_WITHIN_MS)
    const racing = all(() => ({ do: 'race' }), this.#plan.withinMs + ANSWER_WITHIN_MS)
    const clients = Array.from({ length: this.#plan.clients }, (_, nth) => this.#accompany(nth))
    await Promise.all([racing, ...clients])
    // What one began behind its callers must have ended before anybody looks at what is left.
    const counts = await all<RaceCounts>(() => ({ do: 'close' }), ANSWER_WITHIN_MS)
    return counts.reduce(sumOf)
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#processes.map((each) => each.close()))
  }

  /** One client's way through the processes, its session with it, until one of them says that the race is over. */
  async #accompany(nth: number): Promise<void> {
    let token: string | undefined = ''
    for (let at = nth; token !== undefined; at++) {
      const order: RaceOrder = { do: 'serve', client: `client ${nth}`, token }
      token = await this.#processes[at % this.#processes.length]!.ask<string | undefined>(order, ANSWER_WITHIN_MS)
    }
  }

  readonly #told = (told: RaceTold, from: RaceProcess): void => {
    if ('held' in told) {
      void this.#meddle(told.held, from)
    } else {
      this.#done += told.done
      this.#hear(this.#done)
    }
  }

  async #meddle({ ticket, cache, key }: Extract<RaceTold, { held: unknown }>['held'], holder: RaceProcess): Promise<void> {
    const others = this.#processes.filter((each) => each !== holder)
    const other = others[Math.floor(this.#random() * others.length)]!
    try {
      await other.ask({ do: 'meddle', cache, key }, ANSWER_WITHIN_MS)
      await holder.ask({ do: 'release', ticket }, ANSWER_WITHIN_MS)
    } catch {
      // One of the two is closing: the holder lets go by itself.
    }
  }
}

function sumOf(one: RaceCounts, other: RaceCounts): RaceCounts {
  const errors: Record<string, number> = { ...one.errors }
  for (const [code, count] of Object.entries(other.errors)) errors[code] = (errors[code] ?? 0) + count
  const numbers = Object.entries(one).flatMap(([name, count]) =>
    typeof count === 'number' ? [[name, count + (other[name as 'operations'] as number)] as const] : [],
  )
  return { ...one, ...(Object.fromEntries(numbers) as unknown as RaceCounts), raised: [...one.raised, ...other.raised], errors }
}

/** Every key read once more by nobody who raced, and what lies on the nodes. */
async function atRest(ground: RaceGround, plan: RacePlan): Promise<{ last: Map<string, Operation[]>; replicas: ReplicasReport }> {
  const setting = { nodes: ground.nodes, without: undefined, process: plan.processes }
  const { tier, nodes, caches } = await openRacedTier(setting, ground.pool, RACED_CACHES, () => ({ hold: () => undefined }))
  try {
    const ring = hashRing().build(nodes, 3)
    const dumps = await dumpNodes(nodes, 'rt:')
    // Entries that expire do so on each node in its own time.
    const replicas = checkReplicas(dumps, (key) => ring.ownersOf(key).map(({ id }) => id), { mayForget: true })
    const last = new Map<string, Operation[]>()
    for (const [name, cache] of caches) {
      const keys = Array.from({ length: plan.keys }, (_, nth) => keyOf(nth))
      const callMs = sharedMs()
      const values = await Promise.all(keys.map((key) => cache.get(key)))
      const returnMs = sharedMs()
      const read = { process: plan.processes, kind: 'read', callMs, returnMs, outcome: 'ok' } as const
      last.set(
        name,
        keys.map((key, at) => ({ ...read, key, value: values[at]?.v })),
      )
    }
    return { last, replicas }
  } finally {
    await tier.close()
  }
}

function judged(
  name: string,
  rules: Parameters<typeof checkHistory>[1],
  folder: string,
  plan: RacePlan,
  last: readonly Operation[],
  raised: ReadonlySet<HistoryValue>,
): CacheRaceReport {
  const history = readHistory(Array.from({ length: plan.processes }, (_, process) => historyFile(folder, name, process)))
  history.forgetVersions(raised)
  for (const operation of last) history.add(operation)
  return { ...checkHistory(history, rules), lateness: latenessOf(history) }
}
