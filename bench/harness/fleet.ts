/**
 * Everything that runs beside the conductor: servers, a database, contestants. Started when first asked for, stopped together.
 */
import { UnavailableError } from 'ringtail'
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { startPostgres } from '../../tests/support/postgres.ts'
import { LIMITS, SERVERS_OF } from '../entrants.ts'
import type { Ground } from './contestant.ts'
import { ContestantProcess } from './contestant-process.ts'
import type { Entrant, Opened } from './entrant.ts'
import { versionsOf } from './environment.ts'
import { PRODUCTS } from './products.ts'

/** As a database is that matters: a commit waits for the disk. */
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
const TTL_MS = 3_600_000
const MAX_MEMORY = 512 * 1024 * 1024
/** As many as the largest batch has. */
const QUICK_PRODUCTS = 1_000

export class Fleet {
  readonly #isQuick: boolean
  #servers: Promise<RedisServer>[] = []
  readonly #entrants = new Map<string, Promise<Entrant | undefined>>()
  readonly #opened = new Map<string, Opened>()
  #database: ReturnType<typeof startPostgres> | undefined
  #server: RedisServer | undefined
  /** Why somebody of the line-up cannot take part on this machine. */
  readonly missing = new Set<string>()

  constructor(isQuick: boolean) {
    this.#isQuick = isQuick
  }

  /** In the order of the names, set up; without those that this machine has not. */
  async entrants(names: readonly string[]): Promise<Entrant[]> {
    const all = await Promise.all(names.map((name) => this.#entrant(name)))
    return all.filter((each) => each !== undefined)
  }

  /**
   * As `entrants`, with everybody else gone: who only listens has work too, a near cache with every write to what it holds, on the same cores.
   */
  async onlyEntrants(names: readonly string[]): Promise<Entrant[]> {
    const others = [...this.#entrants].filter(([name]) => !names.includes(name))
    for (const [name, entrant] of others) {
      this.#entrants.delete(name)
      await (await entrant)?.close()
    }
    return this.entrants(names)
  }

  /** As `entrants`, of libraries. */
  async contestants(names: readonly string[]): Promise<ContestantProcess[]> {
    return (await this.entrants(names)).filter((each) => each instanceof ContestantProcess)
  }

  /** Of the server that all share. */
  async serverPid(): Promise<number> {
    const [first] = this.#servers
    if (first === undefined) throw new Error('needs contestants first: a server is started for them')
    return (await first).pid
  }

  /** Before those who use it are opened. */
  needDatabase(): void {
    this.#database ??= startPostgres({ settings: DURABLE })
  }

  /** Whom a study has opened by itself, for `versions` and `setUps`. */
  note(opened: ReadonlyMap<string, Opened>): void {
    for (const [name, each] of opened) this.#opened.set(name, each)
  }

  get versions(): Record<string, string> {
    const versions = versionsOf([])
    for (const each of this.#opened.values()) Object.assign(versions, each.versions)
    const server = this.#server
    return server === undefined ? versions : { ...versions, [server.engine]: server.version }
  }

  /** By contestant: the page that its set-up follows. */
  get setUps(): Record<string, string> {
    return Object.fromEntries(Array.from(this.#opened, ([name, { page }]) => [name, page]))
  }

  /** Ends all of it. What is asked for again is started anew; what it was is not forgotten. */
  async stop(): Promise<void> {
    const entrants = await Promise.allSettled(this.#entrants.values())
    this.#entrants.clear()
    await Promise.allSettled(entrants.map((each) => (each.status === 'fulfilled' ? each.value?.close() : undefined)))
    const running = [...this.#servers, this.#database]
    this.#servers = []
    this.#database = undefined
    await Promise.allSettled(running.map(async (each) => (await each)?.stop()))
  }

  #entrant(name: string): Promise<Entrant | undefined> {
    let entrant = this.#entrants.get(name)
    if (entrant === undefined) {
      entrant = this.#open(name)
      this.#entrants.set(name, entrant)
    }
    return entrant
  }

  async #open(name: string): Promise<Entrant | undefined> {
    const entrant = (await LIMITS[name]?.()) ?? new ContestantProcess(name)
    try {
      this.#opened.set(entrant.name, await entrant.open(await this.#groundOf(entrant.name)))
      return entrant
    } catch (error) {
      await entrant.close()
      if (!(error instanceof UnavailableError)) throw error
      this.missing.add(error.message)
      return undefined
    }
  }

  async #groundOf(name: string): Promise<Ground> {
    const count = SERVERS_OF[name] ?? 1
    while (this.#servers.length < count) this.#servers.push(startRedisServer({ maxMemory: MAX_MEMORY }))
    const servers = await Promise.all(this.#servers.slice(0, count))
    this.#server ??= servers[0]
    const products = this.#isQuick ? QUICK_PRODUCTS : PRODUCTS
    const database = (await this.#database)?.url() ?? ''
    return { urls: servers.map(({ url }) => url), database, ttlMs: TTL_MS, products, room: 2 * products }
  }
}
