/**
 * One client of a row in virtual time: what `chaos-client.ts` is as a process, with the same tier, cache, requests and open loop.
 */
import { EVENT_NAMES } from '../../src/events.ts'
import {
  type Cache,
  createTier,
  type Journal,
  openJournal,
  type StrategyChoice,
  type Tier,
  writeBehind,
  writeThrough,
} from '../../src/index.ts'
import { streamOf } from '../simulation/plan.ts'
import { ProcessClock } from '../simulation/virtual-time.ts'
import type { ClientReport, ClientSetting } from './chaos-messages.ts'
import { allKeys, type Held } from './database.ts'
import { NODES } from './ground.ts'
import { NotesInMemory } from './notes-in-memory.ts'
import { OpenLoop } from './open-loop.ts'
import { QueueDepths } from './queue-depths.ts'
import type { RequestColumns } from './request-log.ts'
import { Requester } from './requester.ts'
import { FLUSH_AFTER, SCARCE } from './row-setting.ts'
import type { SimulatedGround } from './simulated-ground.ts'

const LOOK_EVERY_MS = 100
/** So often queues are looked at, until they are empty. */
const LEFT_LOOKS = 20
const DRAIN_WITHIN_MS = 4_000
const MOST_KEYS_AT_ONCE = 100
/** By how much clocks of two clients differ at most, ms. */
const SKEW_MS = 50

export type SimulatedSetting = Pick<ClientSetting, 'process' | 'life' | 'zone' | 'seed' | 'connections' | 'setting'>

interface Parts {
  readonly name: string
  readonly ground: SimulatedGround
  readonly clock: ProcessClock
  readonly tier: Tier
  readonly cache: Cache<Held>
  readonly journal: Journal | undefined
  readonly queues: QueueDepths
  readonly requester: Requester
  readonly notes: NotesInMemory
  /** Rows that the store was asked for so far. */
  readonly rowsAsked: () => number
  /** Writes that the journal held when it was opened. */
  readonly adopted: number
}

export class SimulatedClient {
  readonly #parts: Parts
  readonly #loop: OpenLoop
  readonly #events: Record<string, number> = {}
  readonly #upMs = new Map<string, number>()
  readonly #loads: (readonly [number, number])[] = []
  #herdReads: Readonly<Record<string, number>> = {}
  #changing: Promise<unknown> | undefined
  #inFlight = 0
  #isClosed = false

  private constructor(seed: number, parts: Parts) {
    this.#parts = parts
    const { name, ground, requester, tier } = parts
    const { time } = ground
    const clock = { nowMs: () => time.nowMs, after: (ms: number, task: () => void) => time.schedule(ms, name, 'due', task) }
    const { send, unsent } = requester
    this.#loop = new OpenLoop({ clock, rate: 1, random: streamOf(seed, `due ${name}`), send, unsent })
    for (const event of EVENT_NAMES) {
      if (event.startsWith('entry:changed') || event.startsWith('group:') || event.startsWith('changes:')) continue
      tier.on(event, () => {
        this.#events[event] = (this.#events[event] ?? 0) + 1
      })
    }
    tier.on('node:up', ({ node }) => void this.#upMs.set(node, time.nowMs))
    this.#look()
  }

  static async open(ground: SimulatedGround, own: SimulatedSetting): Promise<SimulatedClient> {
    const { process, life, zone, seed, connections, setting } = own
    const name = `c${process}.${life}`
    const { time } = ground
    const clock = new ProcessClock(time, name, (streamOf(seed, `skew ${name}`)() - 0.5) * SKEW_MS, 0)
    const tier = await createTier({
      nodes: NODES.map(({ id }) => ground.connection(name, id)),
      connectNode: ({ id }) => ground.connection(name, id),
      ...{ replicas: 3, zone, clock, random: streamOf(seed, `tier ${name}`) },
      ...ground.mistake.tier,
    })
    const places = setting.scarce ? Math.floor(connections * SCARCE) : connections
    const store = ground.store(name, places)
    const queues = new QueueDepths({ places })
    let asked: Requester['asked'] = () => {}
    let rows = 0
    const load: typeof store.load = (keys, call) => {
      const answer = store.load(keys, call)
      rows += keys.length
      asked(keys, answer)
      return answer
    }
    const watched = { ...store, load }
    const journal =
      setting.strategy === 'write-behind'
        ? await openJournal({ directory: name }, { clock, startWorker: () => ground.disk(process).worker(name) })
        : undefined
    const adopted = journal?.stats().records ?? 0
    const strategy: StrategyChoice<Held> =
      journal === undefined ? writeThrough(watched) : writeBehind(watched, { journal, flushAfter: FLUSH_AFTER })
    const cache = tier.cache<Held>('chaos', { strategy, ttl: setting.ttlMs, grace: setting.graceMs })
    const notes = new NotesInMemory()
    const requester = new Requester({
      ...{ cache, store: watched, process, life, notes, staleShards: setting.staleShards },
      random: streamOf(seed, `requests ${name}`),
      nowMs: () => time.nowMs,
    })
    asked = (keys, answer) => requester.asked(keys, answer)
    return new SimulatedClient(seed, {
      name,
      ground,
      clock,
      tier,
      cache,
      journal,
      queues,
      requester,
      notes,
      adopted,
      rowsAsked: () => rows,
    })
  }

  get notes(): NotesInMemory {
    return this.#parts.notes
  }

  async warm(): Promise<void> {
    const keys = allKeys()
    for (let from = 0; from < keys.length; from += MOST_KEYS_AT_ONCE)
      await this.#parts.cache.getMany(keys.slice(from, from + MOST_KEYS_AT_ONCE))
  }

  start(startMs: number, rate: number): void {
    this.#loop.setRate(rate)
    this.#loop.start(startMs)
  }

  setRate(rate: number): void {
    this.#loop.setRate(rate)
  }

  /** Counts what nodes answer while the share is not 0. */
  async herd(share: number): Promise<void> {
    this.#parts.requester.herd(share)
    const nodes = await this.#parts.tier.nodes()
    const before = this.#herdReads
    this.#herdReads = Object.fromEntries(nodes.map(({ id, reads }) => [id, reads - (before[id] ?? 0)]))
  }

  changeRing(add: readonly string[], remove: readonly string[]): void {
    const { tier, ground, name } = this.#parts
    this.#changing = tier.changeRing({ add: add.map((id) => ground.connection(name, id)), remove })
    this.#changing.catch(() => {})
  }

  async ringChanged(): Promise<void> {
    await this.#changing
  }

  log(): RequestColumns {
    return this.#parts.requester.log.columns()
  }

  /** Nothing of it ever happens again. */
  kill(): void {
    this.#parts.ground.time.end(this.#parts.name)
  }

  async stop(): Promise<ClientReport> {
    await this.#loop.stop(DRAIN_WITHIN_MS)
    const { tier, adopted, requester } = this.#parts
    const { herded, messages } = requester
    const nodes = (await tier.nodes()).map(({ id, state }) => ({ id, state, upMs: this.#upMs.get(id) }))
    const memory = { heapMb: 0, firstHeapMb: 0, externalMb: 0, firstExternalMb: 0, rssMb: 0, firstRssMb: 0, sockets: 0, firstSockets: 0 }
    const peaks = { ...memory, inFlight: this.#inFlight }
    const { queues } = this.#parts
    const seen = { nodes, peaks, queues: queues.peaks, loads: this.#loads, events: this.#events, wallJumpMs: 0 }
    return { requests: this.log(), ...seen, adopted, herded, herdReads: this.#herdReads, messages: [...messages] }
  }

  /** @returns what queues then do not get rid of, by kind */
  async rest(): Promise<Readonly<Record<string, number>>> {
    const { requester, queues, tier, ground, name } = this.#parts
    await requester.rest()
    const see = () => ({ metrics: tier.metrics(), captures: [] })
    const pause = (): Promise<void> => new Promise((resolve) => ground.time.schedule(LOOK_EVERY_MS, name, 'look', resolve))
    return queues.emptied(see, LEFT_LOOKS, pause)
  }

  /** @returns what a process could not end for */
  async close(): Promise<string[]> {
    const { tier, journal, clock, ground, name } = this.#parts
    this.#isClosed = true
    await tier.close()
    await journal?.close()
    const timers = Array.from({ length: clock.pendingTimers }, () => 'timer')
    return [...timers, ...Array.from({ length: ground.pendingCalls(name) }, () => 'call')]
  }

  #look(): void {
    if (this.#isClosed) return
    const { ground, name, rowsAsked } = this.#parts
    this.#inFlight = Math.max(this.#inFlight, this.#loop.inFlight)
    this.#loads.push([ground.time.nowMs, rowsAsked()])
    this.#parts.queues.look({ metrics: this.#parts.tier.metrics(), captures: [] })
    ground.time.schedule(LOOK_EVERY_MS, name, 'look', () => this.#look())
  }
}
