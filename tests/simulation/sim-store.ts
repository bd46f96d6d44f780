/**
 * The store in the simulation: the production memory store, far away and not always well.
 *
 * Each statement takes its time to the database and its answer back; it may be refused, be carried out without an answer, or not be carried
 * out without one. One that its caller gave up may still commit, for as long as `docs/stores.md` allows: one load deadline after it was
 * sent. Every commit is told to the truth in the moment in which it happens.
 */
import type { Random } from '../../src/clock.ts'
import type { Version } from '../../src/entry.ts'
import { DeadlineError, StoreError } from '../../src/errors.ts'
import type { Loaded, Removal, Save, SaveStatus, ShardStats, Store, StoreCall } from '../../src/store/store.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface StoreConditions {
  /** What either way takes at least, ms. Default 0.2. */
  leastMs?: number
  /** Mean of what it takes above that, ms. */
  meanMs: number
  /** How many of a hundred statements are answered by nobody, whether carried out or not. */
  unansweredPercent: number
  /** How many of a hundred statements are refused. */
  refusedPercent: number
  /** How many of a hundred take long: up to the load deadline. */
  slowPercent: number
}

export interface StorePartsOf<V> {
  readonly time: VirtualTime
  readonly client: string
  readonly random: Random
  /** Shared by all clients: the database itself. */
  readonly database: Store<V>
  readonly conditions: StoreConditions
  /** Whether it says so where the database does. Default: it does not. */
  readonly remembersRemovals?: boolean
  readonly committed?: (key: string, value: V | undefined, version: Version) => void
}

/** The longest that a statement is under way to the database, ms: below the load deadline of 1 s. */
const LONGEST_MS = 900

const LEAST_MS = 0.2

type Fate = 'answered' | 'refused' | 'unanswered' | 'lost'

export class SimStore<V> implements Store<V> {
  readonly name: string
  readonly versioned: boolean
  readonly remembersRemovals: boolean
  readonly #parts: StorePartsOf<V>

  constructor(parts: StorePartsOf<V>) {
    this.#parts = parts
    this.name = parts.database.name
    this.versioned = parts.database.versioned
    this.remembersRemovals = parts.remembersRemovals === true && parts.database.remembersRemovals === true
  }

  load(keys: readonly string[], call?: StoreCall): Promise<Loaded<V>> {
    return this.#statement<Loaded<V>>(
      () => this.#parts.database.load(keys),
      () => Promise.reject(new StoreError(`${this.name}: refused`)),
      () => Promise.reject(new DeadlineError(`${this.name}: no answer`)),
      call,
    )
  }

  save(saves: readonly Save<V>[], call?: StoreCall): Promise<SaveStatus[]> {
    const carryOut = async (): Promise<SaveStatus[]> => {
      const statuses = await this.#parts.database.save(saves)
      for (const [at, { key, value }] of saves.entries()) this.#tell(key, value, statuses[at]!)
      return statuses
    }
    return this.#change(saves.length, carryOut, call)
  }

  remove(removals: readonly Removal[], call?: StoreCall): Promise<SaveStatus[]> {
    const carryOut = async (): Promise<SaveStatus[]> => {
      const statuses = await this.#parts.database.remove(removals)
      for (const [at, { key }] of removals.entries()) this.#tell(key, undefined, statuses[at]!)
      return statuses
    }
    return this.#change(removals.length, carryOut, call)
  }

  stats(): readonly ShardStats[] {
    return this.#parts.database.stats()
  }

  #change(count: number, carryOut: () => Promise<SaveStatus[]>, call: StoreCall | undefined): Promise<SaveStatus[]> {
    const each = (state: 'failed' | 'unknown', text: string): SaveStatus[] =>
      Array.from({ length: count }, () => ({ state, error: new StoreError(`${this.name}: ${text}`) }))
    return this.#statement(
      carryOut,
      async () => each('failed', 'refused'),
      async () => each('unknown', 'no answer'),
      call,
    )
  }

  #statement<T>(carryOut: () => Promise<T>, refuse: () => Promise<T>, leave: () => Promise<T>, call: StoreCall | undefined): Promise<T> {
    const { time, client } = this.#parts
    const fate = this.#fate()
    return new Promise<T>((resolve, reject) => {
      const answer = (made: Promise<T>): void => void made.then(resolve, reject)
      const later = (ms: number, what: () => void): void => void time.schedule(ms, client, 'store answers', what)
      call?.signal?.addEventListener('abort', () => answer(leave()), { once: true })
      time.schedule(this.#delayMs(), 'store', 'statement', () => {
        const backMs = this.#delayMs()
        if (fate === 'refused') later(backMs, () => answer(refuse()))
        else if (fate === 'lost') later(backMs, () => answer(leave()))
        else {
          const made = carryOut()
          if (fate === 'answered') later(backMs, () => answer(made))
          else made.catch(() => {})
        }
      })
      // The connection breaks before the statement is done, as often as not: the caller knows no more than that it was sent.
      if (fate === 'unanswered') later(this.#delayMs(), () => answer(leave()))
    })
  }

  #tell(key: string, value: V | undefined, status: SaveStatus): void {
    if (status.state === 'saved') this.#parts.committed?.(key, value, status.version)
  }

  #fate(): Fate {
    const { random, conditions } = this.#parts
    const drawn = random() * 100
    if (drawn < conditions.refusedPercent) return 'refused'
    if (drawn < conditions.refusedPercent + conditions.unansweredPercent) return random() < 0.5 ? 'unanswered' : 'lost'
    return 'answered'
  }

  #delayMs(): number {
    const { random, conditions } = this.#parts
    const usual = (conditions.leastMs ?? LEAST_MS) - Math.log(1 - random()) * conditions.meanMs
    return Math.min(LONGEST_MS, random() * 100 < conditions.slowPercent ? random() * LONGEST_MS : usual)
  }
}
