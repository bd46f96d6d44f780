/**
 * How every strategy reads: serve what is fresh, serve what is stale and refresh it behind the caller, load what is missing.
 *
 * The strategies differ in how they write; they share this. A fresh value that is about to be old is loaded ahead of time by one of its
 * readers, with a chance that grows with what the load costs (XFetch: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache
 * Stampede Prevention", VLDB 2015). A cluster that cannot answer is passed by: the store is asked, through the same single flight, and the
 * tier is told.
 */

import { RingtailError, UnavailableError } from '../errors.ts'
import type { Found } from '../keyspaces/keyspace.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Demand } from '../session.ts'
import type { StoreReader } from '../store/store.ts'
import type { LoadAsk, Loaded } from './load-seat.ts'
import { Loads } from './loads.ts'
import type { Freshness, Read, ReadCall, Settled, StoreCounts, StrategyCall, StrategyParts } from './strategy.ts'

/** XFetch's draw is -ln(random): above this it practically does not come, so what is fresh for longer than so many loads is not drawn for. */
const LONGEST_DRAW = 12

/** Keys that may be touched behind their readers at a time. */
const MAX_TOUCHES = 1_024

export class Reading<V> implements QueueTeller {
  readonly loads: Loads<V>
  readonly #parts: StrategyParts<V>
  readonly #reader: StoreReader<V> | undefined
  /** What is fresh for at least so long needs nothing but to be served, ms. */
  readonly #aheadMs: number
  readonly #touching = new Set<string>()

  /** @param ordered whether rows carry versions by which the cache can order them */
  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined, ordered: boolean) {
    this.#parts = parts
    this.#reader = reader
    this.loads = new Loads(parts, reader, ordered)
    this.#aheadMs = Math.max(earlyWindowMs(parts), parts.sliding ? parts.ttlMs / 2 : 0)
  }

  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    const found = (found: Found<V>): void => {
      if (found.state === 'fresh' && call?.session === undefined && !found.negative) {
        if (found.freshForMs < this.#aheadMs) this.#lookAhead(key, found, call)
        settle(found)
      } else this.#resolveOne(key, found, call).then(settle, fail)
    }
    this.#parts.keyspace.find(key, found, fail, call)
  }

  async readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    const found = await this.#parts.keyspace.findMany(keys, call)
    // All resolutions start in one turn, so that what is missing makes one load. What needs none costs no promise.
    const settled: (Settled<Read<V>> | Promise<Settled<Read<V>>>)[] = new Array(found.length)
    let isWaiting = false
    for (let at = 0; at < found.length; at++) {
      const each = this.#settledOne(keys[at]!, found[at]!, call)
      if (each instanceof Promise) isWaiting = true
      settled[at] = each
    }
    return isWaiting ? Promise.all(settled) : (settled as Settled<Read<V>>[])
  }

  async refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]> {
    // What lies there now is what the fill has to take the place of.
    const found = await this.#parts.keyspace.findMany(keys, call)
    return Promise.all(
      keys.map(async (key, at): Promise<Settled<V | undefined>> => {
        try {
          return { value: (await this.loads.refresh(askOf(key, found[at]!, call))).value }
        } catch (thrown) {
          return { error: thrown as Error }
        }
      }),
    )
  }

  async touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]> {
    const { keyspace } = this.#parts
    const found = await keyspace.findMany(keys, call)
    const live = keys.flatMap((key, at) => (found[at]!.version === 0n ? [] : [{ key, version: found[at]!.version }]))
    const touched = await keyspace.touchMany(live, call?.times, call)
    const outcomes = new Map(live.map(({ key }, at) => [key, touched[at]!]))
    return keys.map((key, at): Settled<boolean> => {
      const outcome = outcomes.get(key)
      if (outcome?.state === 'unacknowledged') return { error: outcome.error }
      const failure = found[at]!.failure
      return failure === undefined ? { value: outcome?.state === 'applied' } : { error: failure }
    })
  }

  tellQueues(tell: TellQueue): void {
    this.loads.tellQueues(tell)
    tell('touches', this.#touching.size, MAX_TOUCHES)
  }

  storeCounts(): StoreCounts | undefined {
    if (this.#reader === undefined) return undefined
    return { queries: this.loads.queries, keysLoaded: this.loads.keysLoaded, shards: this.#reader.stats() }
  }

  #settledOne(key: string, found: Found<V>, call: ReadCall<V> | undefined): Settled<Read<V>> | Promise<Settled<Read<V>>> {
    try {
      const read = this.#resolve(key, found, call)
      return read instanceof Promise ? read.then(settledWith, failedWith) : { value: read }
    } catch (thrown) {
      return failedWith(thrown)
    }
  }

  async #resolveOne(key: string, found: Found<V>, call: ReadCall<V> | undefined): Promise<Read<V>> {
    return this.#resolve(key, found, call)
  }

  #resolve(key: string, found: Found<V>, call: ReadCall<V> | undefined): Read<V> | Promise<Read<V>> {
    if (call?.session === undefined) return this.#judged(key, found, call, 0n)
    const demand = call.session.demands(this.#parts.keyspace.wireKey(key))
    return meets(found, demand) ? this.#judged(key, found, call, demand.version) : this.#carefully(key, demand, call)
  }

  /** What the level that was asked found is older than what the session wrote: all owners are asked, and then the store. */
  async #carefully(key: string, demand: Demand, call: ReadCall<V>): Promise<Read<V>> {
    const careful: ReadCall<V> = { ...call, read: 'all' }
    const found = await this.#parts.keyspace.findOne(key, careful)
    return this.#judged(key, found, careful, demand.version)
  }

  /** @param atLeast the version from which on an entry is an answer */
  #judged(key: string, found: Found<V>, call: ReadCall<V> | undefined, atLeast: bigint): Read<V> | Promise<Read<V>> {
    const loader = call?.loader
    const tooOld = atLeast > 0n && found.seen.version < atLeast
    // A caller's own loader may know what the store does not.
    if (found.state === 'fresh' && !tooOld && !(found.negative && loader !== undefined)) {
      if (found.freshForMs < this.#aheadMs) this.#lookAhead(key, found, call)
      return found
    }
    if (loader === undefined && this.#reader === undefined) {
      if (found.state === 'unreachable') throw found.failure ?? new UnavailableError(`no owner of the key answered`)
      return tooOld ? NOTHING : found
    }
    if (found.state === 'stale' && !tooOld) return this.#stale(key, found, call)
    if (found.state === 'unreachable') {
      const behind = this.#parts.behind?.()
      if (behind !== undefined) throw behind
      this.#parts.bypassed('read', reasonOf(found.failure))
    }
    return this.loads.load({ ...askOf(key, found, call), atLeast }).then((loaded) => readOf(loaded, found))
  }

  /** Behind the caller, or for as long as a stale value may be held back. What fails is told by the load itself; the stale value was the answer. */
  #stale(key: string, found: Found<V>, call: ReadCall<V> | undefined): Read<V> | Promise<Read<V>> {
    const { softDeadlineMs, clock } = this.#parts
    const ask = askOf(key, found, call)
    if (softDeadlineMs === 0) {
      this.loads.loadBehind(ask)
      return found
    }
    const loading = this.loads.loadOver(ask)
    if (loading === undefined) return found
    return new Promise((resolve) => {
      const timer = clock.after(softDeadlineMs, () => resolve(found), { keepAlive: true })
      loading.then(
        (loaded) => {
          timer.cancel()
          resolve(readOf(loaded, found))
        },
        () => {
          timer.cancel()
          resolve(found)
        },
      )
    })
  }

  /** A fresh value near its end: a session slides on, anything else may be loaded ahead of time. */
  #lookAhead(key: string, found: Found<V>, call: ReadCall<V> | undefined): void {
    const { sliding, ttlMs, keyspace } = this.#parts
    if (sliding && found.freshForMs < ttlMs / 2 && !found.negative) {
      if (this.#touching.has(key) || this.#touching.size >= MAX_TOUCHES) return
      this.#touching.add(key)
      const done = (): void => void this.#touching.delete(key)
      keyspace.touchMany([{ key, version: found.version }], call?.times).then(done, done)
      return
    }
    const loadable = call?.loader !== undefined || this.#reader !== undefined
    if (loadable && !found.negative && this.#isDue(found)) this.loads.loadBehind(askOf(key, found, call))
  }

  #isDue(found: Found<V>): boolean {
    const { early, random, ttlMs } = this.#parts
    if (early === false) return false
    if (typeof early === 'number') return found.freshForMs < (1 - early) * ttlMs
    return found.freshForMs <= found.entry!.loadCostMs * -Math.log(random())
  }
}

const settledWith = <T>(value: T): Settled<T> => ({ value })
const failedWith = (thrown: unknown): Settled<never> => ({ error: thrown as Error })

/** No value, and no store to ask for one. */
const NOTHING: Read<never> = Object.freeze({
  state: 'missing',
  negative: false,
  value: undefined,
  node: undefined,
  entry: undefined,
  sizeBytes: 0,
})

function earlyWindowMs({ early, loadDeadlineMs, ttlMs }: Freshness): number {
  if (early === false) return 0
  return typeof early === 'number' ? (1 - early) * ttlMs : Math.min(LONGEST_DRAW * loadDeadlineMs, ttlMs)
}

function askOf<V>(key: string, found: Found<V>, call: ReadCall<V> | undefined): LoadAsk<V> {
  const stale = found.state === 'stale' || found.state === 'fresh' ? found.value : undefined
  const unsaid = found.state === 'unreachable'
  return { key, seen: found.seen, stale, unsaid, read: call?.read, loader: call?.loader, times: call?.times, tags: call?.tags }
}

/** What a load brought, to a reader who had found this. */
function readOf<V>({ value, found: other }: Loaded<V>, found: Found<V>): Read<V> {
  const { node } = found
  // What it had found was no answer to it, fresh as that may have been.
  const state = found.state === 'unreachable' ? 'unreachable' : 'missing'
  if (other === undefined) return { state, negative: value === undefined, value, node, entry: undefined, sizeBytes: 0 }
  return { state, negative: other.negative, value, node: other.node, entry: other.entry, sizeBytes: other.sizeBytes }
}

function meets(found: Found<unknown>, demand: Demand): boolean {
  return !demand.careful && found.seen.version >= demand.version
}

function reasonOf(failure: RingtailError | undefined): string {
  return failure instanceof RingtailError ? failure.message : 'no owner answered'
}
