/**
 * The wiring: nodes, ring, clusters, keyspaces, strategies and caches put together. Read it second, after `index.ts`.
 *
 * This is the only file that knows all rooms. A tier holds the nodes and one ring for each distinct placement; every cache gets a cluster,
 * a keyspace and a strategy of its own on top, which are small.
 */
import { overWithin } from './bounded-call.ts'
import { packingCodec } from './cache-codec.ts'
import { cacheStack } from './cache-stack.ts'
import { Cache } from './caches/cache.ts'
import { CacheEvents } from './caches/cache-events.ts'
import { type CacheOptions, type CheckedCacheOptions, checkedCacheOptions, readAheadMs } from './caches/cache-options.ts'
import type { Capture, CaptureOptions } from './capture/capture.ts'
import { type Clock, type Random, systemClock, systemRandom } from './clock.ts'
import { CatchUp } from './cluster/catch-up.ts'
import { Hints } from './cluster/hints.ts'
import { cacheName } from './codec/key.ts'
import { plainCodec } from './codec/plain-codec.ts'
import { checkedCheckOptions } from './consistency/check-options.ts'
import type { CheckOptions, ConsistencyCheck } from './consistency/consistency.ts'
import type { LookerParts } from './consistency/looker.ts'
import { RunningCheck } from './consistency/running-check.ts'
import type { CacheDictionaries } from './dictionaries/cache-dictionaries.ts'
import { checkEvent, Emitter } from './emitter.ts'
import type { VersionClock } from './entry.ts'
import { ClosedError, ConfigurationError, UnsupportedError } from './errors.ts'
import { type Emit, type EventName, isChangeEvent, type Listener } from './events.ts'
import { FleetClock } from './fleet-clock.ts'
import { BusInvalidations } from './invalidation/bus-invalidations.ts'
import { ChangeFeed, type ChangeFeedParts } from './invalidation/change-feed.ts'
import { ChangeFeeds } from './invalidation/change-feeds.ts'
import type { Invalidations } from './invalidation/invalidation.ts'
import { Tracking } from './invalidation/tracking.ts'
import { Deliveries } from './listener-queue.ts'
import { Outcomes } from './metrics/outcomes.ts'
import { announceKeys } from './near/announce-keys.ts'
import { NearCache, type NearParts } from './near/near-cache.ts'
import { NearLayer } from './near/near-layer.ts'
import { type NodeReport, reportNodes } from './node-report.ts'
import type { QueueTeller } from './queues.ts'
import { rareTelling } from './rare-telling.ts'
import { Admission } from './resilience/admission.ts'
import { checkedGuardOptions, guardStore, type MadeGuard, type StoreGuardOptions } from './resilience/guarded-store.ts'
import { hashRing } from './ring/hash-ring.ts'
import type { Placement } from './ring/ring.ts'
import { RoundClock } from './round-clock.ts'
import { Session } from './session.ts'
import type { StoreReader } from './store/store.ts'
import { countedReads, type TierMetrics, tierMetrics } from './tier-metrics.ts'
import { TierNodes } from './tier-nodes.ts'
import { checkedTierOptions, type TierOptions } from './tier-options.ts'
import { RingChanges } from './topology/ring-changes.ts'
import type { RingChange, RingChangeOptions, RingChangeReport, RingPlan, RingPlanOptions, TopologyReport } from './topology/topology.ts'
import { TopologyWatch } from './topology/topology-watch.ts'
import { TurnClock } from './turn-clock.ts'
import { versionClock } from './version-clock.ts'

/** What calls under way may take when the tier is closed: so many times the longest deadline of a load or of the nodes, as one may follow on another. */
const CLOSING_DEADLINES = 4
/** What telling of that which nodes have missed may take then, ms. */
const CLOSING_HINTS_MS = 2_000

/**
 * Builds a tier and connects its nodes. A node that does not answer is told of as `node:down` and tried again for as long as the tier is
 * open; it does not keep the tier from starting.
 * @throws ConfigurationError for options that cannot work, such as fewer nodes than replicas
 */
export async function createTier(options: TierOptions): Promise<Tier> {
  const { replicas, placement } = checkedTierOptions(options)
  // Rings of caches are built later and at once; the default placement is made ready here, whichever the tier uses.
  await Promise.all([placement.prepare(), hashRing().prepare()])
  const tier = new Tier(options, replicas, placement)
  await tier.connect()
  return tier
}

export class Tier {
  readonly #nodes: TierNodes
  readonly #admission: Admission
  readonly #hints: Hints
  readonly #catchUp: CatchUp
  readonly #topology: TopologyWatch
  readonly #changes: RingChanges
  readonly #zone: string | undefined
  /** The machine's: nodes in this process go by it. */
  readonly #ownClock: Clock
  /** The fleet's. */
  readonly #clock: FleetClock
  /** The same, for reads. A clock that was given is moved by who gave it, within a turn too. */
  readonly #readClock: Clock
  /** The same, for look-ups in this process. */
  readonly #nearClock: NearParts['clock']
  readonly #random: Random
  readonly #invalidations: Invalidations
  /** Whether changes are heard of from whoever makes them, not from the nodes. */
  readonly #hasBus: boolean
  readonly #versions: VersionClock
  readonly #deliveries: Deliveries
  readonly #events: Emitter
  readonly #feeds = new ChangeFeeds()
  readonly #caches = new Map<string, Cache<unknown>>()
  readonly #captures = new Set<Capture>()
  readonly #dictionaries = new Set<CacheDictionaries>()
  /** What a consistency check of each cache needs; of plain values there is none. */
  readonly #lookers = new Map<string, LookerParts<unknown>>()
  readonly #checks = new Map<string, RunningCheck<unknown>>()
  readonly #guarding: StoreGuardOptions | false
  /** By store: one that serves several caches is one database. */
  readonly #guarded = new WeakMap<object, object>()
  readonly #guards = new Set<MadeGuard>()
  /** All in which something waits. */
  readonly #queueing: Set<QueueTeller>
  /** Of all caches, ms. */
  #longestDeadlineMs = 0
  #closing: Promise<void> | undefined

  /** Use `createTier`. */
  constructor(options: TierOptions, replicas: number, placement: Placement) {
    this.#ownClock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom
    this.#deliveries = new Deliveries(this.#ownClock)
    this.#events = new Emitter(this.#deliveries)
    const parts = { clock: this.#ownClock, random: this.#random, emit: this.#events.emit }
    const isReturning = (node: string): boolean => {
      this.#catchUp.doubt(node)
      return true
    }
    this.#nodes = new TierNodes(options.nodes, { ...parts, replicas, placement, connectNode: options.connectNode, isReturning })
    this.#admission = new Admission({
      clock: this.#ownClock,
      changed: (state, lateMs) => this.#events.emit(`tier:${state}`, { lateMs: Math.round(lateMs) }),
    })
    this.#zone = options.zone
    this.#guarding = options.stores === false ? false : checkedGuardOptions(options.stores ?? {}, 'createTier: stores')
    this.#clock = new FleetClock(this.#ownClock, this.#nodes.all, { emit: this.#events.emit })
    this.#readClock = options.clock === undefined ? new TurnClock(this.#clock) : this.#clock
    this.#nearClock = options.clock === undefined ? new RoundClock(this.#readClock) : this.#clock
    const heard = { ...parts, clock: this.#clock }
    this.#hints = new Hints(heard)
    this.#catchUp = new CatchUp(this.#nodes.all, {
      ...heard,
      hints: this.#hints,
      replicas,
      mark: (node, mark) => this.#nodes.markReturning(node, mark),
      fill: (node, emptiedMs) => this.#nodes.markEmptied(node, emptiedMs),
    })
    const { bus } = options
    const tracking = bus === undefined ? new Tracking({ ...heard, nodes: this.#nodes.all }) : undefined
    for (const listener of [this.#catchUp, tracking]) if (listener !== undefined) this.#nodes.tell(listener)
    const hearing = bus === undefined ? [] : [new BusInvalidations({ ...heard, bus })]
    this.#invalidations = tracking ?? hearing[0]!
    this.#queueing = new Set<QueueTeller>([this.#admission, this.#nodes, this.#hints, this.#deliveries, ...hearing])
    this.#hasBus = bus !== undefined
    this.#topology = new TopologyWatch({ ...heard, nodes: this.#nodes })
    const reads = () => countedReads(this.#caches.values())
    this.#changes = new RingChanges({ ...heard, nodes: this.#nodes, watch: this.#topology, reads })
    this.#versions = versionClock(this.#clock, this.#random)
  }

  async connect(): Promise<void> {
    await this.#nodes.connect()
    await this.#clock.start()
    await this.#topology.start()
    await this.#catchUp.start()
    this.#admission.start()
  }

  /**
   * A named, typed namespace with one strategy.
   * @throws ConfigurationError for an option that cannot work, or a name that is taken
   */
  cache<V>(name: string, options: CacheOptions<V>): Cache<V> {
    this.#checkOpen()
    cacheName(name)
    if (this.#caches.has(name)) throw ConfigurationError.of('tier.cache: name', 'a name not yet taken in this tier', name)
    const checked = checkedCacheOptions(options, `cache '${name}'`)
    const cache = this.#build(name, checked)
    this.#caches.set(name, cache as Cache<unknown>)
    this.#longestDeadlineMs = Math.max(this.#longestDeadlineMs, checked.loadDeadlineMs, checked.callDeadlineMs)
    return cache
  }

  /**
   * Follows a PostgreSQL database, and tells caches of this tier of every row that anybody has changed there. A process of each fleet is
   * enough; of several one follows, and the others wait to take its place. Closed with the tier.
   * @throws ConfigurationError for options that cannot work, and for a database that was not prepared: see `ringtail-capture up`
   */
  async captureChanges(options: CaptureOptions): Promise<Capture> {
    this.#checkOpen()
    const { emit: emitAll } = this.#events
    const rarely = rareTelling(this.#clock, emitAll)
    // Failures alone come again and again; of the others each says something new.
    const emit: Emit = (name, payload) => (name === 'capture:failed' ? rarely : emitAll)(name, payload)
    // Loaded by those who capture, for everybody else would pay for it too.
    const { startCapture } = await import('./capture/start-capture.ts')
    const isCutOff = (): boolean => this.#nodes.health.isCutOff
    const capture = await startCapture(options, { clock: this.#clock, random: this.#random, emit, isCutOff })
    this.#captures.add(capture)
    if (this.#closing !== undefined) await capture.close()
    this.#checkOpen()
    return capture
  }

  /** The listener is called soon after the event, never within a read or a write. @returns the way to stop listening */
  on<K extends EventName>(name: K, listener: Listener<K>): () => void {
    checkEvent(name, listener)
    return isChangeEvent(name) ? this.#feeds.on(name, listener as Listener<typeof name>) : this.#events.on(name, listener)
  }

  /**
   * A session: reads that are given it see every write that was given it, in whichever process. Hand its `token()` on to the next request.
   * @param token of the session to go on with; none, or '': a new one @throws ConfigurationError for what is not a token
   */
  session(token?: string): Session {
    return new Session(this.#clock, token)
  }

  /** The counts so far, by cache, and how much waits now. */
  metrics(): TierMetrics {
    return tierMetrics({ caches: this.#caches, checks: this.#checks, queueing: this.#queueing })
  }

  /**
   * Starts a check, beside all that this process does, of whether copies of this cache are served which are older than they may be. It asks
   * every owner and the store, at a bounded rate, and tells `consistency:violated` of what it finds. One a cache at a time; closing the tier
   * stops it. Every process may run one, and one in the fleet is enough.
   * @throws ConfigurationError for a cache that is not this tier's, or one that is being checked @throws UnsupportedError for plain values
   */
  checkConsistency(cache: Pick<Cache<never>, 'name'> | string, options: CheckOptions = {}): ConsistencyCheck {
    this.#checkOpen()
    const name = typeof cache === 'string' ? cache : cache?.name
    if (!this.#caches.has(name)) throw ConfigurationError.of('checkConsistency: cache', 'a cache of this tier, or its name', cache)
    const what = `checkConsistency of '${name}'`
    const looker = this.#lookers.get(name)
    if (looker === undefined) throw new UnsupportedError(`${what}: plain values have no versions to compare`)
    if (this.#checks.get(name)?.isStopped === false) throw ConfigurationError.of(what, 'one check at a time', 'a second one')
    const checked = checkedCheckOptions(options, what)
    if (checked.against === 'store' && looker.truth === undefined)
      throw ConfigurationError.of(`${what}: against`, 'a cache with a store', 'store')
    if (checked.against === 'versions' && looker.truth?.ordered !== true)
      throw ConfigurationError.of(`${what}: against`, 'a cache with a store whose row versions its copies have', 'versions')
    const check = new RunningCheck({
      ...looker,
      cache: name,
      invalidations: this.#invalidations,
      random: this.#random,
      emit: this.#events.emit,
      options: checked,
    })
    this.#checks.set(name, check)
    return check
  }

  /** What each node holds and has answered; asks the nodes. */
  nodes(): Promise<NodeReport[]> {
    const { ring, health, members } = this.#nodes
    return reportNodes(ring.ring, health, members, Object.values(this.metrics().caches))
  }

  /** Which nodes the fleet has decided on, and what becomes of them. */
  topology(): TopologyReport {
    return this.#changes.topology()
  }

  /**
   * What a change of the ring would come to, for the nodes and for the database. Nothing is changed. It takes as long as it measures: 5 s by default.
   * @throws ConfigurationError for a change that cannot be @throws TopologyError while another is unfinished
   */
  planRingChange(change: RingChange, options?: RingPlanOptions): Promise<RingPlan> {
    return this.#changes.plan(change, options)
  }

  /**
   * Adds nodes, drains and removes them, or weighs them anew, while the whole fleet goes on: see docs/changing-the-ring.md. Call it in one process,
   * which has the caches that were given a `ring`. What fails or is aborted on its way is rolled back.
   * @throws ConfigurationError for a change that cannot be @throws TopologyError
   */
  changeRing(change: RingChange, options?: RingChangeOptions): Promise<RingChangeReport> {
    return this.#changes.change(change, options)
  }

  /** Goes on with a change whose operator has died. @throws TopologyError */
  resumeRingChange(options?: RingChangeOptions): Promise<RingChangeReport> {
    return this.#changes.resume(options)
  }

  /** Undoes a change whose operator has died. @throws TopologyError */
  rollBackRingChange(options?: RingChangeOptions): Promise<RingChangeReport> {
    return this.#changes.rollBack(options)
  }

  /**
   * Refuses every further call with a `ClosedError`, lets those under way finish, tells the nodes what others of them have missed, and closes
   * every connection. No write that was acknowledged is lost by it. Calls under way have their deadlines, and all of them four times the longest of a cache's
   * (4 s by default); write-behind saves for as long as its `drain`; a change of the ring is given up, which may take 2 s. Called again it is the same.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const over = this.#admission.close()
    this.#feeds.close()
    const stopping = [...this.#captures, this.#changes].map((each) => each.close())
    await overWithin(over, CLOSING_DEADLINES * this.#longestDeadlineMs, this.#ownClock)
    await Promise.all([...stopping, ...Array.from(this.#checks.values(), (check) => check.stop())])
    await Promise.all(Array.from(this.#caches.values(), (cache) => cache.drained()))
    await Promise.all(Array.from(this.#dictionaries, (each) => each.close()))
    await overWithin(this.#nodes.knowledge.settle(), CLOSING_HINTS_MS, this.#ownClock)
    this.#nodes.knowledge.giveUp()
    this.#clock.stop()
    this.#topology.stop()
    this.#nodes.health.stop()
    this.#catchUp.stop()
    await overWithin(this.#hints.flush(), CLOSING_HINTS_MS, this.#ownClock)
    await this.#invalidations.close()
    for (const guard of this.#guards) guard.close()
    await this.#nodes.close()
  }

  /** @throws ClosedError */
  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ClosedError('the tier is closed')
  }

  #build<V>(name: string, options: CheckedCacheOptions<V>): Cache<V> {
    const what = `cache '${name}'`
    const outcomes = new Outcomes()
    const emit = rareTelling(this.#clock, this.#events.emit)
    const parts = { clock: this.#clock, random: this.#random, emit }
    const packing = { ...parts, outcomes, cache: name, nodes: this.#nodes.all, dictionaries: this.#dictionaries }
    const codec = options.plain ? plainCodec(options.codec, what) : packingCodec(options.codec, what, packing)
    const { cluster, keys, groups, strategy, queueing } = cacheStack<V>(name, options, {
      ...parts,
      readClock: this.#readClock,
      ring: this.#nodes.ringOf(name, options, what),
      codec,
      zone: this.#zone,
      hints: this.#hints,
      invalidations: this.#invalidations,
      versions: this.#versions,
      nodeFailed: (node) => outcomes.recordNodeError(node),
      isUninformed: () => this.#catchUp.isUninformed,
      guard: (store) => this.#guard(store),
      behind: () => (this.#admission.isBehind ? this.#admission.refusal(what) : undefined),
      bypassed: (operation, reason) => {
        outcomes.bypassed++
        emit('cache:bypassed', { cache: name, operation, reason })
      },
    })
    for (const each of queueing) this.#queueing.add(each)
    const heard = { cluster, invalidations: this.#invalidations, writes: options.writes }
    if (groups !== undefined) {
      const looker: LookerParts<V> = { cluster, keys, codec, currency: groups, clock: this.#clock, truth: strategy.truth }
      this.#lookers.set(name, looker as LookerParts<unknown>)
    }
    let near: NearLayer<V> | undefined
    if (options.near !== undefined && groups !== undefined) {
      const copies = new NearCache<V>({ ...options.near, clock: this.#nearClock })
      near = new NearLayer<V>({ ...heard, keys, currency: groups, aheadMs: readAheadMs(options), near: copies })
    }
    const announce = options.plain ? undefined : (changed: readonly string[]) => announceKeys(changed, { ...heard, keys })
    const { plain } = options
    const feed = plain ? undefined : this.#feedOf(name, { ...heard, keys, separator: options.namespaces })
    return new Cache<V>({
      name,
      strategy,
      outcomes,
      clock: this.#readClock,
      plain,
      groups,
      near,
      admitting: this.#admission,
      announce: this.#hasBus ? announce : undefined,
      events: new CacheEvents({ cache: name, emitter: this.#events, feed }),
    })
  }

  #guard<S extends StoreReader<unknown>>(store: S): S {
    if (this.#guarding === false) return store
    const known = this.#guarded.get(store)
    if (known !== undefined) return known as S
    const made = (guard: MadeGuard): void => {
      this.#guards.add(guard)
      this.#queueing.add(guard)
    }
    const guarded = guardStore(store, this.#guarding, { clock: this.#clock, random: this.#random, emit: this.#events.emit, made })
    this.#guarded.set(store, guarded)
    return guarded
  }

  #feedOf(cache: string, parts: Omit<ChangeFeedParts, 'cache' | 'clock' | 'emit' | 'deliveries'>): ChangeFeed {
    const feed = new ChangeFeed({ ...parts, cache, clock: this.#clock, emit: this.#events.emit, deliveries: this.#deliveries })
    this.#feeds.add(feed)
    return feed
  }
}
