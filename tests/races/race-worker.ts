/**
 * One process of a race: a tier of its own, callers that read, write, update and delete on every raced cache, and holds in between.
 */
import pg from 'pg'
import { seededRandom } from '../../src/testing/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import { RaceCallers } from './race-callers.ts'
import { RaceHolds } from './race-holds.ts'
import type { RaceCounts, RaceOrder, RaceSetting, RaceTold } from './race-messages.ts'
import { RACED_CACHES } from './race-plan.ts'
import { openRacedTier, type RacedTier } from './raced-tier.ts'

const TELL_EVERY = 250
/** What a client asks of one process before it goes on to the next. */
const REQUESTS = 10
/** Values of one process do not reach those of the next. */
const VALUES = 1_000_000_000

class RaceWorker {
  readonly #setting: RaceSetting
  readonly #raced: RacedTier
  readonly #pool: pg.Pool
  readonly #holds: RaceHolds
  readonly #callers: readonly RaceCallers[]
  readonly #random: () => number
  #operations = 0
  #served = 0
  #over = false

  private constructor(setting: RaceSetting, raced: RacedTier, pool: pg.Pool, holds: RaceHolds, random: () => number) {
    this.#setting = setting
    this.#raced = raced
    this.#pool = pool
    this.#holds = holds
    this.#random = random
    let value = setting.process * VALUES
    const nextValue = () => ++value
    const { process, folder, plan } = setting
    this.#callers = RACED_CACHES.map((each) => {
      const cache = raced.caches.get(each.name)!
      return new RaceCallers({ process, folder, raced: each, cache, pool, holds, random, nextValue, keys: plan.keys })
    })
  }

  static async open(setting: RaceSetting): Promise<RaceWorker> {
    const { plan, database, process } = setting
    const random = seededRandom(plan.seed * 1_000 + process)
    const pool = new pg.Pool({ connectionString: database, max: 12 })
    pool.on('error', () => {})
    const holds = new RaceHolds(plan.holds, random, tell)
    const raced = await openRacedTier(setting, pool, RACED_CACHES, (cache) => holds.watchOf(cache))
    return new RaceWorker(setting, raced, pool, holds, random)
  }

  async race(): Promise<void> {
    const { operations, enough, enoughAfterMs, processes, withinMs, lanes } = this.#setting.plan
    const [most, least] = [Math.ceil(operations / processes), Math.ceil(enough / processes)]
    const startMs = performance.now()
    let told = 0
    const isOver = (): boolean => {
      const ms = performance.now() - startMs
      return this.#operations >= most || ms >= withinMs || (ms >= enoughAfterMs && this.#operations >= least)
    }
    const lane = async (): Promise<void> => {
      while (!isOver()) {
        const count = await this.#anyCallers().one()
        this.#operations += count
        if (this.#operations - told < TELL_EVERY) continue
        tell({ done: this.#operations - told })
        told = this.#operations
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    this.#over = true
    tell({ done: this.#operations - told })
  }

  /** @returns the client's session, for the next process; undefined when the race is over */
  async serve(name: string, token: string): Promise<string | undefined> {
    if (this.#over) return undefined
    const session = this.#raced.tier.session(token)
    for (let nth = 0; nth < REQUESTS; nth++) {
      const count = await this.#anyCallers().one({ name, session })
      this.#operations += count
      this.#served += count
    }
    return session.token()
  }

  async meddle(cache: string, key: string): Promise<void> {
    await this.#callers[RACED_CACHES.findIndex(({ name }) => name === cache)]!.meddle(key)
  }

  release(ticket: number): void {
    this.#holds.release(ticket)
  }

  async close(): Promise<RaceCounts> {
    const counts = this.#counts()
    await this.#raced.tier.close()
    await this.#pool.end()
    for (const callers of this.#callers) callers.close()
    return counts
  }

  #anyCallers(): RaceCallers {
    return this.#callers[Math.floor(this.#random() * this.#callers.length)]!
  }

  #counts(): RaceCounts {
    const errors: Record<string, number> = {}
    for (const callers of this.#callers) {
      for (const [code, count] of Object.entries(callers.errors)) errors[code] = (errors[code] ?? 0) + count
    }
    const { load, save, givenUp } = this.#holds.counts
    const metrics = Object.values(this.#raced.tier.metrics().caches)
    return {
      operations: this.#operations,
      heldLoads: load,
      heldSaves: save,
      holdsGivenUp: givenUp,
      loads: metrics.reduce((sum, { store }) => sum + (store?.keysLoaded ?? 0), 0),
      nearHits: metrics.reduce((sum, { nearHits }) => sum + nearHits, 0),
      served: this.#served,
      raised: this.#holds.raised,
      errors,
    }
  }
}

let worker: RaceWorker | undefined

const tell = answerOrders<RaceOrder, RaceTold>(
  async (order) => {
    if (order.do === 'open') worker = await RaceWorker.open(order.setting)
    else if (worker === undefined) throw new Error(`needs to be open for '${order.do}'`)
    else if (order.do === 'race') await worker.race()
    else if (order.do === 'meddle') await worker.meddle(order.cache, order.key)
    else if (order.do === 'release') worker.release(order.ticket)
    else if (order.do === 'serve') return worker.serve(order.client, order.token)
    else {
      const closing = worker
      worker = undefined
      return closing.close()
    }
    return undefined
  },
  async () => void (await worker?.close()),
)
