/**
 * One client process of a chaos row: a tier of its own, a cache over it, and an open loop of requests.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { EVENT_NAMES } from '../../src/events.ts'
import {
  type Cache,
  type CacheNode,
  type Capture,
  type ConnectNode,
  createTier,
  type Journal,
  openJournal,
  redisNode,
  type Store,
  type StrategyChoice,
  type Tier,
  writeBehind,
  writeThrough,
} from '../../src/index.ts'
import { seededRandom, sharedMs } from '../../src/testing/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import type { ClientOrder, ClientReport, ClientSetting, Peaks } from './chaos-messages.ts'
import { allKeys, type Database, type Held, openDatabase, slotOf, TABLE } from './database.ts'
import { NotesOnDisk } from './notes-on-disk.ts'
import { MACHINE_CLOCK, OpenLoop } from './open-loop.ts'
import { QueueDepths } from './queue-depths.ts'
import type { RequestColumns } from './request-log.ts'
import { Requester } from './requester.ts'
import { FLUSH_AFTER, SCARCE } from './row-setting.ts'

const LOOK_EVERY_MS = 100
const DRAIN_WITHIN_MS = 4_000
/** So often what is left, at rest and after closing, is looked at: what is on its way to an end may get there. */
const LEFT_LOOKS = 20
const MOST_KEYS_AT_ONCE = 100
const WARMING_TRIES = 10
/** What a service would give its pool: nobody waits for a database longer than a load may take. */
const POOL = { connectionTimeoutMillis: 900, idleTimeoutMillis: 0, statement_timeout: 900, query_timeout: 950 } as const

interface Parts {
  readonly tier: Tier
  readonly database: Database
  readonly journal: Journal | undefined
  readonly cache: Cache<Held>
  readonly captures: readonly Capture[]
  readonly queues: QueueDepths
  readonly requester: Requester
  readonly spare: (id: string) => CacheNode
  /** Writes that the journal held when it was opened. */
  readonly adopted: number
}

class ChaosClient {
  readonly #parts: Parts
  readonly #events: Record<string, number> = {}
  /** Of each node, before there is a herd, and while there was one once that is over. */
  #herdReads: Readonly<Record<string, number>> = {}
  readonly #upMs = new Map<string, number>()
  readonly #loads: (readonly [number, number])[] = []
  readonly #looking: NodeJS.Timeout
  readonly #loop: OpenLoop
  #peaks: Peaks
  /** Of wall over monotonic clock, at the start. */
  readonly #wallOffsetMs = Date.now() - sharedMs()
  #wallJumpMs = 0
  #changing: Promise<unknown> | undefined

  private constructor(setting: ClientSetting, parts: Parts) {
    this.#parts = parts
    const random = seededRandom(setting.seed * 100 + setting.process * 10 + setting.life + 50)
    this.#loop = new OpenLoop({ clock: MACHINE_CLOCK, rate: 1, random, send: parts.requester.send, unsent: parts.requester.unsent })
    for (const name of EVENT_NAMES) {
      if (name.startsWith('entry:changed') || name.startsWith('group:') || name.startsWith('changes:')) continue
      parts.tier.on(name, () => {
        this.#events[name] = (this.#events[name] ?? 0) + 1
      })
    }
    parts.tier.on('node:up', ({ node }) => void this.#upMs.set(node, sharedMs()))
    const { heapMb, externalMb, rssMb, sockets } = bounded()
    this.#peaks = {
      ...{ heapMb, firstHeapMb: heapMb, externalMb, firstExternalMb: externalMb, rssMb, firstRssMb: rssMb },
      ...{ sockets, firstSockets: sockets, inFlight: 0 },
    }
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS)
  }

  static async open(setting: ClientSetting): Promise<ChaosClient> {
    const ways = [...setting.nodes, ...setting.spares]
    const connectNode: ConnectNode = ({ id, weight }) => {
      const { zone, url } = ways.find((way) => way.id === id)!
      return redisNode(url, { id, zone, weight })
    }
    const nodes = setting.nodes.map(({ id, zone, url }) => redisNode(url, { id, zone }))
    const tier = await createTier({ nodes, connectNode, replicas: 3, zone: setting.zone })
    const { connections: max, setting: row } = setting
    const places = row.scarce ? Math.floor(max * SCARCE) : max
    const database = openDatabase(setting.shards, { ...POOL, max }, places)
    await database.connect()
    let asked: Requester['asked'] = () => {}
    const load: Store<Held>['load'] = (keys, call) => {
      const answer = database.store.load(keys, call)
      asked(keys, answer)
      return answer
    }
    const store: Store<Held> = { ...database.store, load }
    const journal =
      setting.setting.strategy === 'write-behind'
        ? await openJournal({ directory: `${setting.folder}/journal-${setting.process}` })
        : undefined
    const adopted = journal?.stats().records ?? 0
    const strategy: StrategyChoice<Held> =
      journal === undefined ? writeThrough(store) : writeBehind(store, { journal, flushAfter: FLUSH_AFTER })
    const { ttlMs, graceMs } = setting.setting
    const cache = tier.cache<Held>('chaos', { strategy, ttl: ttlMs, grace: graceMs })
    const captures: Capture[] = []
    if (row.captured)
      for (const shard of setting.shards)
        captures.push(await tier.captureChanges({ database: shard, slot: slotOf(shard), tables: [{ table: TABLE, cache }] }))
    const { seed, process, life } = setting
    const random = seededRandom(seed * 100 + process * 10 + life)
    const { staleShards } = row
    const notes = new NotesOnDisk(setting)
    const requester = new Requester({ cache, store, random, process, life, staleShards, nowMs: sharedMs, notes })
    asked = (keys, answer) => requester.asked(keys, answer)
    const spare = (id: string): CacheNode => connectNode({ id, weight: 1, zone: undefined, label: id, url: undefined })
    const queues = new QueueDepths({ places })
    return new ChaosClient(setting, { tier, database, journal, cache, captures, queues, requester, spare, adopted })
  }

  async warm(): Promise<void> {
    const keys = allKeys()
    for (let from = 0; from < keys.length; from += MOST_KEYS_AT_ONCE) {
      const some = keys.slice(from, from + MOST_KEYS_AT_ONCE)
      // A machine that is busy with starting may be late with a load: that is not what is to be shown.
      for (let tries = 1; !(await this.#isRead(some)); tries++) if (tries === WARMING_TRIES) throw new Error('the cache does not get warm')
    }
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
    const { tier, spare } = this.#parts
    this.#changing = tier.changeRing({ add: add.map(spare), remove })
    this.#changing.catch(() => {})
  }

  async ringChanged(): Promise<void> {
    await this.#changing
  }

  log(): RequestColumns {
    return this.#parts.requester.log.columns()
  }

  async stop(): Promise<ClientReport> {
    await this.#loop.stop(DRAIN_WITHIN_MS)
    this.#look()
    const { log, herded, messages } = this.#parts.requester
    const nodes = (await this.#parts.tier.nodes()).map(({ id, state }) => ({ id, state, upMs: this.#upMs.get(id) }))
    const seen = {
      nodes,
      peaks: this.#peaks,
      queues: this.#parts.queues.peaks,
      loads: this.#loads,
      events: this.#events,
      wallJumpMs: this.#wallJumpMs,
    }
    return { requests: log.columns(), ...seen, adopted: this.#parts.adopted, herded, herdReads: this.#herdReads, messages: [...messages] }
  }

  /** @returns what queues then do not get rid of, by kind */
  async rest(): Promise<Readonly<Record<string, number>>> {
    const { requester, queues } = this.#parts
    await requester.rest()
    return queues.emptied(
      () => this.#seen(),
      LEFT_LOOKS,
      () => pause(LOOK_EVERY_MS),
    )
  }

  /** @returns what keeps the process from ending then, a moment later at the latest */
  async close(first: readonly string[]): Promise<string[]> {
    clearInterval(this.#looking)
    const { tier, database, journal, requester } = this.#parts
    await this.#loop.stop(0)
    await tier.close()
    await journal?.close()
    await database.close()
    requester.close()
    for (let looks = 0; ; looks++) {
      const left = resourcesBeside(first)
      if (left.length === 0 || looks >= LEFT_LOOKS) return left
      await pause(LOOK_EVERY_MS)
    }
  }

  async #isRead(keys: readonly string[]): Promise<boolean> {
    try {
      await this.#parts.cache.getMany(keys)
      return true
    } catch {
      return false
    }
  }

  #look(): void {
    const { heapMb, externalMb, rssMb, sockets } = bounded()
    this.#wallJumpMs = Math.max(this.#wallJumpMs, Math.abs(Date.now() - sharedMs() - this.#wallOffsetMs))
    const peaks = this.#peaks
    this.#peaks = {
      ...peaks,
      heapMb: Math.max(peaks.heapMb, heapMb),
      externalMb: Math.max(peaks.externalMb, externalMb),
      rssMb: Math.max(peaks.rssMb, rssMb),
      sockets: Math.max(peaks.sockets, sockets),
      inFlight: Math.max(peaks.inFlight, this.#loop.inFlight),
    }
    const seen = this.#seen()
    this.#parts.queues.look(seen)
    this.#loads.push([sharedMs(), seen.metrics.caches[this.#parts.cache.name]?.store?.keysLoaded ?? 0])
  }

  #seen() {
    const { tier, captures } = this.#parts
    return { metrics: tier.metrics(), captures: captures.map((capture) => capture.stats()) }
  }
}

function bounded(): Pick<Peaks, 'heapMb' | 'externalMb' | 'rssMb' | 'sockets'> {
  const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  const { heapUsed, external, rss } = process.memoryUsage()
  const [heapMb, externalMb, rssMb] = [heapUsed, external, rss].map((bytes) => Math.round(bytes / 1_048_576)) as [number, number, number]
  return { heapMb, externalMb, rssMb, sockets }
}

/** What keeps the process from ending, by name: what the channel to the conductor needs is there from the start. */
function resourcesBeside(first: readonly string[]): string[] {
  const known = [...first]
  return process.getActiveResourcesInfo().filter((name) => {
    const at = known.indexOf(name)
    if (at >= 0) known.splice(at, 1)
    return at < 0
  })
}

let client: ChaosClient | undefined
let first: readonly string[] = []

answerOrders<ClientOrder>(
  async (order) => {
    if (order.do === 'open') {
      first = process.getActiveResourcesInfo()
      client = await ChaosClient.open(order.setting)
      return undefined
    }
    if (client === undefined) throw new Error(`needs to be open for '${order.do}'`)
    if (order.do === 'warm') return client.warm()
    if (order.do === 'start') return client.start(order.startMs, order.rate)
    if (order.do === 'rate') return client.setRate(order.rate)
    if (order.do === 'herd') return client.herd(order.share)
    if (order.do === 'change-ring') return client.changeRing(order.add, order.remove)
    if (order.do === 'ring-changed') return client.ringChanged()
    if (order.do === 'log') return client.log()
    if (order.do === 'stop') return client.stop()
    if (order.do === 'rest') return client.rest()
    const closing = client
    client = undefined
    return closing.close(first)
  },
  async () => void (await client?.close(first)),
)
