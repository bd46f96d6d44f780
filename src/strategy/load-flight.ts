/**
 * One load on its way: keys that were missing together, from the lease to the fill.
 *
 * Each key is leased first: one holder in the whole fleet loads it. The others have nothing to do where nobody waits, and else wait, in
 * steps that grow and differ, for what the holder brings; if the lease lapses they take it. Who has waited for half of what a load may take, when
 * the holder gives up, or for all of it, on holder after holder, is told so: a second load would take
 * as long again, and the database that has not answered one is not to be asked by each in turn. Only a holder fills, and the nodes take the fill only if its lease is still there: every write and delete
 * ends it. So no interleaving of loads, writes and deletes leaves an older value behind.
 *
 * A fill carries the version of its row (where the store orders) or that of the moment before the load began.
 */
import { laterStamp, NO_STAMP, type Stamp, type Version } from '../entry.ts'
import { ConfigurationError, DeadlineError, EncodeError, type RingtailError } from '../errors.ts'
import type { Found, Lease, Leasing, Put, Replicated } from '../keyspaces/keyspace.ts'
import type { Row } from '../store/store.ts'
import type { Arrived, Asking } from './asking.ts'
import type { LoadAsk, LoadSeat } from './load-seat.ts'
import type { StrategyParts } from './strategy.ts'

/** What a lease lasts beyond the bound of a load: time for the fill. */
const FILL_MS = 100
const FIRST_PAUSE_MS = 2
const LONGEST_PAUSE_MS = 50
/** Nodes count whole ms: of a lease up to so much less is left than they say. */
const NODE_TICK_MS = 1
/** Of the time for a load, left at least once a holder has died, and nobody else has loaded in all the time that it had. */
const AFTER_DEAD = 1 / 2
/** A lease that lasts so much longer than it would have is another, ms. */
const SURELY_ANOTHER_MS = 50

/** Whether an entry that was found answers what was asked. */
export function answers<V>(found: Found<V>, ask: LoadAsk<V>): boolean {
  if (found.state !== 'fresh' || ask.unsaid === true || (found.negative && ask.loader !== undefined)) return false
  return ask.atLeast === undefined || found.seen.version >= ask.atLeast
}

/** Clocks differ by less, ms, and a group's delete is dated ahead by twice as much (`invalidation/groups.ts`). */
const SLIGHTLY_MS = 500

/**
 * What a load that began has to be dated ahead, ms, to be later than what it was made over: that may be of the same millisecond, or of a
 * process whose clock is slightly ahead. Never farther ahead of the clock than a group's delete of the same moment would be: that one has to
 * be later.
 */
function behindMs(seen: Stamp, { ms, clockMs }: Begun): number {
  const aheadMs = (seen.begun - (ms % 2 ** 32)) | 0
  return seen !== NO_STAMP && aheadMs >= 0 && ms + aheadMs < clockMs + SLIGHTLY_MS ? aheadMs + 1 : 0
}

/** Whether the value is at fault, or what its loader said of it, rather than the nodes. */
function isUnfit(error: RingtailError): boolean {
  return error instanceof EncodeError || error instanceof ConfigurationError
}

export interface FlightParts<V> {
  readonly strategy: StrategyParts<V>
  readonly asking: Asking<V>
  /** Whether fills carry the rows' own versions. */
  readonly ordered: boolean
  /** Told of each seat that is over: nobody may join it any more. */
  readonly landed: (seat: LoadSeat<V>) => void
}

interface Begun {
  /** By `keyspace.nowMs()`, which may be ahead of the clock. */
  readonly ms: number
  readonly clockMs: number
  readonly version: Version
  readonly costMs: number
}

export class LoadFlight<V> {
  readonly #parts: FlightParts<V>
  readonly #leaseMs: number
  readonly #underWay = new Set<Promise<void>>()

  constructor(parts: FlightParts<V>) {
    this.#parts = parts
    this.#leaseMs = parts.strategy.loadDeadlineMs + FILL_MS
  }

  /** @param seats all of one loader, or of none. Never rejects: each seat is told. */
  fly(seats: readonly LoadSeat<V>[]): Promise<void> {
    return this.#tracked(this.#leaseAndLoad(seats))
  }

  async #leaseAndLoad(seats: readonly LoadSeat<V>[]): Promise<void> {
    try {
      const leasings = await this.#lease(seats)
      const mine = seats.filter((seat, at) => this.#settleLeasing(seat, leasings?.[at]))
      await Promise.all(this.#byShard(mine).map((part) => this.#load(part)))
    } catch (thrown) {
      for (const seat of seats) this.#fail(seat, thrown)
    }
  }

  /** Keys of a shard that is slow are not to hold up those of the others, which left with them by chance. */
  #byShard(seats: readonly LoadSeat<V>[]): readonly (readonly LoadSeat<V>[])[] {
    if (seats.length < 2) return seats.length === 0 ? [] : [seats]
    return [...Map.groupBy(seats, ({ ask }) => this.#parts.asking.shardOf(ask)).values()]
  }

  async #lease(seats: readonly LoadSeat<V>[]): Promise<Leasing<V>[] | undefined> {
    const { keyspace } = this.#parts.strategy
    if (!keyspace.enveloped) return undefined
    for (const seat of seats) seat.asking()
    return keyspace.leaseMany(
      seats.map(({ key, seen, force }) => ({ key, seen, force })),
      this.#leaseMs,
    )
  }

  /** @returns whether this flight has to load the key */
  #settleLeasing(seat: LoadSeat<V>, leasing: Leasing<V> | undefined): boolean {
    if (leasing === undefined || leasing.state === 'failed') return true
    if (leasing.state === 'granted') {
      seat.lease = leasing.lease
      // The owner that granted it may have missed what the read saw on another.
      seat.seen = laterStamp(seat.seen, leasing.held)
      return true
    }
    if (leasing.state === 'changed' && answers(leasing.found, seat.ask)) {
      const { found } = leasing
      this.#land(seat, () => seat.verify({ value: found.value, found, version: found.seen.version }, false))
      return false
    }
    if (leasing.state === 'changed') seat.seen = leasing.found.seen
    if (seat.waited) void this.#waitForHolder(seat, leasing.state === 'held' ? leasing.forMs : 0)
    else this.#land(seat, () => seat.verify(undefined, false))
    return false
  }

  /** Asks again and again for the lease, or for what its holder has brought meanwhile, for no longer than a load may take; half as long again once a holder has died. */
  async #waitForHolder(seat: LoadSeat<V>, heldForMs: number): Promise<void> {
    const { cache, clock, random, loadDeadlineMs } = this.#parts.strategy
    const sinceMs = clock.monotonic()
    let untilMs = sinceMs + loadDeadlineMs
    let forMs = heldForMs
    // At the earliest; an answer may be late, but not the question.
    let lapsesAtMs = Number.NEGATIVE_INFINITY
    try {
      for (let longestMs = FIRST_PAUSE_MS; ; longestMs = Math.min(2 * longestMs, LONGEST_PAUSE_MS)) {
        const pauseMs = Math.min(longestMs * (0.5 + random() / 2), forMs + 1)
        await new Promise<void>((resolve) => void clock.after(Math.max(0, pauseMs), resolve, { keepAlive: true }))
        const before = seat.seen.version
        const askedMs = clock.monotonic()
        const leasing = (await this.#lease([seat]))![0]!
        const nowMs = clock.monotonic()
        const waitedMs = nowMs - sinceMs
        const isLapsed = nowMs >= lapsesAtMs && lapsesAtMs > Number.NEGATIVE_INFINITY
        // At the deadline of its load, before the lease lapsed, and without anything put there: it is free, or another's meanwhile.
        const isGivenUp =
          nowMs < lapsesAtMs &&
          nowMs >= lapsesAtMs - FILL_MS - LONGEST_PAUSE_MS &&
          ((leasing.state === 'granted' && leasing.held.version === before) ||
            (leasing.state === 'held' && askedMs + leasing.forMs > lapsesAtMs + SURELY_ANOTHER_MS))
        if (isGivenUp && waitedMs >= loadDeadlineMs / 2) {
          if (leasing.state === 'granted') seat.lease = leasing.lease
          throw new DeadlineError(
            `cache '${cache}': another process gave up loading '${seat.key}', after ${Math.round(waitedMs)} ms of waiting for it`,
          )
        }
        if (leasing.state === 'held') {
          forMs = leasing.forMs
          if (isLapsed) untilMs = Math.max(untilMs, nowMs + loadDeadlineMs * AFTER_DEAD)
          lapsesAtMs = Math.max(lapsesAtMs, askedMs + forMs - NODE_TICK_MS)
        } else if (leasing.state === 'changed' && !answers(leasing.found, seat.ask)) {
          seat.seen = leasing.found.seen
          forMs = 0
          lapsesAtMs = Number.NEGATIVE_INFINITY
        } else {
          const leftMs = this.#leftMs(waitedMs, isLapsed)
          if (this.#settleLeasing(seat, leasing)) {
            if (leftMs <= 0) throw this.#waitedInVain(seat.key, waitedMs)
            await this.#load([seat], leftMs)
          }
          return
        }
        // Whose lease has had all its time already is most likely dead, and it lapses at once.
        if (nowMs >= untilMs && !(forMs > 0 && forMs <= FILL_MS + NODE_TICK_MS)) {
          throw this.#waitedInVain(seat.key, waitedMs)
        }
      }
    } catch (thrown) {
      this.#fail(seat, thrown)
    }
  }

  /**
   * Who has waited for a holder that gave up, or whose load was overtaken, has that much less time of its own. Where the lease lapsed instead, its
   * holder is most likely dead.
   */
  #leftMs(waitedMs: number, isLapsed: boolean): number {
    const { loadDeadlineMs } = this.#parts.strategy
    return Math.max(loadDeadlineMs - waitedMs, isLapsed ? loadDeadlineMs * AFTER_DEAD : 0)
  }

  #waitedInVain(key: string, waitedMs: number): DeadlineError {
    const { cache } = this.#parts.strategy
    return new DeadlineError(`cache '${cache}': others have not loaded '${key}', after ${Math.round(waitedMs)} ms of waiting for them`)
  }

  /** Resolves when what is being loaded now has been filled. */
  async drained(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #load(seats: readonly LoadSeat<V>[], withinMs?: number): Promise<void> {
    return this.#tracked(this.#loadAndFill(seats, withinMs))
  }

  #tracked(work: Promise<void>): Promise<void> {
    const tracked = work.finally(() => this.#underWay.delete(tracked))
    this.#underWay.add(tracked)
    return tracked
  }

  async #loadAndFill(seats: readonly LoadSeat<V>[], withinMs: number | undefined): Promise<void> {
    const { strategy, asking, ordered } = this.#parts
    const { clock, keyspace } = strategy
    // The load begins after what was seen, so it is newer, also where the other's clock is ahead of ours.
    if (!ordered) for (const { seen } of seats) keyspace.observe(seen.version)
    for (const seat of seats) seat.loading()
    const startMs = clock.monotonic()
    const ms = keyspace.nowMs()
    const clockMs = clock.now()
    const version = keyspace.nextVersion()
    let arrived: Arrived<V>
    try {
      arrived = await asking.fetch(
        seats.map(({ ask }) => ask),
        seats[0]!.ask.loader,
        withinMs,
      )
    } catch (thrown) {
      for (const seat of seats) this.#fail(seat, thrown)
      return
    }
    const begun = { ms, clockMs, version, costMs: clock.monotonic() - startMs }
    const kept: { readonly seat: LoadSeat<V>; readonly put: Put<V> }[] = []
    for (const seat of seats) {
      const error = arrived.failed?.get(seat.key)
      if (error !== undefined) {
        this.#fail(seat, error)
        continue
      }
      const row = arrived.rows.get(seat.key)
      const loaded = { value: row?.value }
      const put = this.#putOf(seat, row, arrived, begun)
      if (put === undefined) this.#land(seat, () => seat.verify(loaded, false))
      else {
        seat.answer(loaded)
        kept.push({ seat, put })
      }
    }
    await this.#fill(kept)
  }

  /** @returns undefined for what is not kept */
  #putOf(seat: LoadSeat<V>, row: Row<V> | undefined, arrived: Arrived<V>, begun: Begun): Put<V> | undefined {
    const { ask, seen } = seat
    const controls = arrived.controls.get(ask.key)
    // Only a holder fills; a loader's own 'nothing' is not remembered, for only a store knows that a row does not exist.
    if ((seat.lease === undefined && this.#parts.strategy.keyspace.enveloped) || controls?.skipped === true) return undefined
    if (row === undefined && (!this.#parts.strategy.negative || ask.loader !== undefined)) return undefined
    return {
      key: ask.key,
      value: row?.value,
      kind: row === undefined ? 'negative' : 'value',
      version: this.#versionOf(ask.loader === undefined ? row : undefined, seen.version, begun.version),
      times: controls?.times ?? ask.times,
      tags: controls?.tags ?? ask.tags,
      begunMs: begun.ms + behindMs(seen, begun),
      loadCostMs: begun.costMs,
      over: seen,
    }
  }

  /**
   * Where the store orders, what carries no row's version (an absence, a loader's value) takes the place of what was seen and of nothing
   * newer: any row that is written meanwhile is newer than it. Where it does not, a load is as new as its beginning.
   */
  #versionOf(row: Row<V> | undefined, seen: Version, begun: Version): Version {
    if (!this.#parts.ordered) return begun
    return row === undefined ? seen : row.version
  }

  async #fill(kept: readonly { readonly seat: LoadSeat<V>; readonly put: Put<V> }[]): Promise<void> {
    if (kept.length === 0) return
    const { keyspace, cache, emit } = this.#parts.strategy
    for (const { seat } of kept) seat.filling()
    const outcomes = keyspace.enveloped
      ? await keyspace.fillMany(kept.map(({ seat, put }) => ({ put, lease: seat.lease as Lease })))
      : await keyspace.putMany(kept.map(({ put }) => put))
    for (const [at, { seat, put }] of kept.entries()) {
      const outcome: Replicated = outcomes[at]!
      if (outcome.state === 'unacknowledged' && isUnfit(outcome.error)) {
        emit('entry:refused', { cache, reason: outcome.error.message })
      } else if (outcome.state === 'applied') seat.lease = undefined
      this.#land(seat, () => seat.verify({ value: put.value, version: put.version }, outcome.state === 'applied'))
    }
  }

  /** The key of a load that failed is free at once. */
  #fail(seat: LoadSeat<V>, error: unknown): void {
    this.#land(seat, () => seat.fail(error))
  }

  #land(seat: LoadSeat<V>, tell: () => void): void {
    if (seat.lease !== undefined) this.#parts.strategy.keyspace.release([{ key: seat.key, lease: seat.lease }])
    seat.lease = undefined
    // First nobody joins any more, then those aboard are told: who reads again in turn is not to meet this seat.
    this.#parts.landed(seat)
    tell()
  }
}
