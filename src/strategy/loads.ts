/**
 * Loads what the cache does not have: each key once at a time in this process, keys that are missing together in one call.
 *
 * Callers are answered as soon as the store has answered; the fill goes on behind them, and the key stays joinable until it is done. How
 * one load makes sure that it is the only one in the fleet, and that what it fills is not older than what was written meanwhile, is told in
 * `load-flight.ts`.
 */
import { boundedCall } from '../bounded-call.ts'
import { DeadlineError, OverloadError } from '../errors.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import { SingleFlight } from '../resilience/single-flight.ts'
import type { StoreReader } from '../store/store.ts'
import { Asking } from './asking.ts'
import { answers, LoadFlight } from './load-flight.ts'
import { type LoadAsk, type Loaded, LoadSeat } from './load-seat.ts'
import type { Loader, StrategyParts } from './strategy.ts'

/** Loads that a caller joins, each overtaken by a write, before it loads for itself alone. */
const ROUNDS = 3

/** Time to look on the nodes, for who has waited for all of a load that was then overtaken, ms. */
const LEAST_LEFT_MS = 50

/** How long after a load failed of which a stale value was served instead it is not tried again, ms; half as much to one and a half times. */
const PAUSE_MS = 1_000
/** The same after a load behind a reader found that the key is being loaded already. */
const HELD_PAUSE_MS = 50
const MAX_PAUSED = 4_096

export class Loads<V> implements QueueTeller {
  readonly #parts: StrategyParts<V>
  readonly #asking: Asking<V>
  readonly #flight: LoadFlight<V>
  /** Loads of the store, and of callers' own loaders: who asks with a loader is not answered by a store that has no row. */
  readonly #flights = { store: new SingleFlight<LoadSeat<V>>(), loader: new SingleFlight<LoadSeat<V>>() }
  /** By loader: keys whose load leaves at the end of the current turn. */
  readonly #waiting = new Map<Loader<V> | undefined, Map<string, LoadSeat<V>>>()
  /** Loads of what writes overtook. */
  readonly #again = new Set<Promise<unknown>>()
  /** By key: until when what failed over a stale value, or what another does, is not tried again. */
  readonly #paused = new Map<string, number>()

  /** @param ordered whether rows carry versions by which the cache can order them */
  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined, ordered: boolean) {
    this.#parts = parts
    this.#asking = new Asking(parts, reader)
    const landed = (seat: LoadSeat<V>): void => this.#flightsOf(seat.ask).land(seat.key, seat)
    this.#flight = new LoadFlight({ strategy: parts, asking: this.#asking, ordered, landed })
  }

  get queries(): number {
    return this.#asking.queries
  }

  get keysLoaded(): number {
    return this.#asking.keysLoaded
  }

  tellQueues(tell: TellQueue): void {
    for (const { size, most } of [this.#flights.store, this.#flights.loader]) tell('loads', size, most)
    tell('loadsPaused', this.#paused.size, MAX_PAUSED)
  }

  /**
   * What a write overtook is loaded again within what is left of the time for a load.
   * @returns what there is. Rejects with what the loader threw, or with a LoadError, StoreError, DeadlineError or OverloadError.
   */
  async load(ask: LoadAsk<V>): Promise<Loaded<V>> {
    const { cache, clock, loadDeadlineMs } = this.#parts
    const sinceMs = clock.monotonic()
    const loaded = await this.#join(ask)
    if (loaded !== undefined) return loaded
    const nowMs = clock.monotonic()
    const deadlineMs = Math.max(LEAST_LEFT_MS, Math.ceil(loadDeadlineMs - (nowMs - sinceMs)))
    const what = `cache '${cache}': loading '${ask.key}' again, for a write overtook its load`
    const work = (): Promise<Loaded<V>> => this.#tracked(this.#loadAgain(ask, nowMs + deadlineMs))
    return boundedCall(work, { signal: undefined, deadlineMs }, clock, what)
  }

  /** Begins nothing more once its caller has left. */
  async #loadAgain(ask: LoadAsk<V>, deadlineAtMs: number): Promise<Loaded<V>> {
    const leftMs = (): number => {
      const left = deadlineAtMs - this.#parts.clock.monotonic()
      if (left <= 0) throw new DeadlineError(`cache '${this.#parts.cache}': '${ask.key}' was not loaded again in time`)
      return left
    }
    for (let round = 2; ; round++) {
      // What was being loaded may be older than what was written since: the nodes know.
      const found = await this.#parts.keyspace.findOne(ask.key, { read: ask.read })
      const unsaid = found.state === 'unreachable'
      if (answers(found, { ...ask, unsaid })) return { value: found.value, found }
      const withinMs = leftMs()
      if (round > ROUNDS) return this.#loadAlone(ask, withinMs)
      const loaded = await this.#join({ ...ask, seen: found.seen, unsaid })
      if (loaded !== undefined) return loaded
      leftMs()
    }
  }

  async #loadAlone(ask: LoadAsk<V>, withinMs: number): Promise<Loaded<V>> {
    const arrived = await this.#asking.fetch([ask], ask.loader, withinMs)
    const error = arrived.failed?.get(ask.key)
    if (error !== undefined) throw error
    return { value: arrived.rows.get(ask.key)?.value }
  }

  /** Loads for nobody who waits; not again for a while after that failed. What fails is told by the load itself. */
  loadBehind(ask: LoadAsk<V>): void {
    if (this.#isPaused(ask.key)) return
    const { key } = ask
    this.#join({ ...ask, behind: true }).then(
      (loaded) => {
        if (loaded === undefined) this.#pause(key, HELD_PAUSE_MS)
      },
      () => this.#pause(key, PAUSE_MS),
    )
  }

  /** `load` for who has a stale value to fall back on. @returns undefined where that failed a short while ago: it is not tried again yet */
  loadOver(ask: LoadAsk<V>): Promise<Loaded<V>> | undefined {
    if (this.#isPaused(ask.key)) return undefined
    const loading = this.load(ask)
    loading.catch(() => this.#pause(ask.key, PAUSE_MS))
    return loading
  }

  /** Loads anew: joins nothing that began before now. What still waits to leave has not begun. Resolves once the cache has it. */
  refresh(ask: LoadAsk<V>): Promise<Loaded<V>> {
    this.forget(ask.key)
    return this.load({ ...ask, force: true })
  }

  /** Resolves when what is being loaded now has been filled. */
  async drained(): Promise<void> {
    while (this.#again.size > 0) await Promise.allSettled(this.#again)
    await this.#flight.drained()
  }

  #tracked(work: Promise<Loaded<V>>): Promise<Loaded<V>> {
    const tracked = work.finally(() => this.#again.delete(tracked))
    this.#again.add(tracked)
    return tracked
  }

  /** What is being loaded under the key is out of date: later readers load again. */
  forget(key: string): void {
    this.#flights.store.forget(key)
    this.#flights.loader.forget(key)
  }

  #isPaused(key: string): boolean {
    const againAtMs = this.#paused.get(key)
    if (againAtMs === undefined) return false
    if (this.#parts.clock.monotonic() < againAtMs) return true
    this.#paused.delete(key)
    return false
  }

  #pause(key: string, ms: number): void {
    this.#paused.delete(key)
    if (this.#paused.size >= MAX_PAUSED) this.#paused.delete(this.#paused.keys().next().value!)
    this.#paused.set(key, this.#parts.clock.monotonic() + ms * (0.5 + this.#parts.random()))
  }

  async #join(ask: LoadAsk<V>): Promise<Loaded<V> | undefined> {
    const flights = this.#flightsOf(ask)
    const seat = flights.at(ask.key)
    if (seat !== undefined) return aboard(seat, ask)
    if (flights.isFull) throw new OverloadError(`${flights.size} keys are being loaded already; the load of one more was shed`)
    const boarded = this.#board(ask)
    flights.takeOff(ask.key, boarded)
    return aboard(boarded, ask)
  }

  #board(ask: LoadAsk<V>): LoadSeat<V> {
    let seats = this.#waiting.get(ask.loader)
    if (seats === undefined) {
      seats = new Map()
      this.#waiting.set(ask.loader, seats)
      queueMicrotask(() => {
        const leaving = this.#waiting.get(ask.loader)!
        this.#waiting.delete(ask.loader)
        void this.#flight.fly([...leaving.values()])
      })
    }
    let seat = seats.get(ask.key)
    if (seat === undefined) {
      seat = new LoadSeat(ask)
      seats.set(ask.key, seat)
    }
    return seat
  }

  #flightsOf(ask: LoadAsk<V>): SingleFlight<LoadSeat<V>> {
    return ask.loader === undefined ? this.#flights.store : this.#flights.loader
  }
}

/** Who has the key loaded anew waits for the fill too: the next read is to see it. */
async function aboard<V>(seat: LoadSeat<V>, ask: LoadAsk<V>): Promise<Loaded<V> | undefined> {
  const loaded = await seat.join(ask)
  if (ask.force === true) await seat.landed
  return loaded
}
