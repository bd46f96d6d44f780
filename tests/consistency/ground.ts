/**
 * What a consistency check is shown on: real Redis servers, tiers on them, and a way past the tiers to what lies on one server.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { createTier, type Journal, openJournal, redisNode, type Tier, type TierEvents } from '../../src/index.ts'
import { type RedisServer, startRedisServer } from '../../src/testing/index.ts'

const IDS = ['a', 'b', 'c', 'd']

/** Seconds a try, not the 50 ms of production: the servers may share two cores with everything else, and a write given up is stale in earnest. */
const TRY = '5s'

export class Ground {
  readonly #servers: RedisServer[]
  readonly #clients: Redis[]
  readonly #tiers: Tier[] = []
  readonly #journals: Journal[] = []

  private constructor(servers: RedisServer[]) {
    this.#servers = servers
    this.#clients = servers.map(({ port }) => new Redis(port, '127.0.0.1'))
    // A server that is taken down is meant to be.
    for (const client of this.#clients) client.on('error', () => {})
  }

  static async prepare(count: number): Promise<Ground> {
    return new Ground(await Promise.all(IDS.slice(0, count).map(() => startRedisServer())))
  }

  get ids(): readonly string[] {
    return IDS.slice(0, this.#servers.length)
  }

  /** A process of the fleet, as far as the nodes can tell. */
  async tier(): Promise<Tier> {
    const nodes = this.#servers.map(({ url }, at) => redisNode(url, { id: IDS[at]!, timeout: TRY }))
    const tier = await createTier({ nodes })
    this.#tiers.push(tier)
    return tier
  }

  /** Of one process, as two never share one. */
  async journal(): Promise<Journal> {
    const journal = await openJournal({ directory: mkdtempSync(join(tmpdir(), 'ringtail-consistency-')) })
    this.#journals.push(journal)
    return journal
  }

  server(id: string): RedisServer {
    return this.#servers[IDS.indexOf(id)]!
  }

  /** Past all tiers. */
  client(id: string): Redis {
    return this.#clients[IDS.indexOf(id)]!
  }

  /** Kills a server and starts an empty one in its place. */
  async replace(id: string): Promise<void> {
    const at = IDS.indexOf(id)
    const { port } = this.#servers[at]!
    await this.#servers[at]!.kill()
    this.#servers[at] = await startRedisServer({ port })
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.resume()
    await Promise.allSettled(this.#tiers.map((tier) => tier.close()))
    await Promise.allSettled(this.#journals.map((journal) => journal.close()))
    for (const { directory } of this.#journals.map((journal) => journal.stats())) rmSync(directory, { recursive: true, force: true })
    for (const client of this.#clients) client.disconnect()
    await Promise.allSettled(this.#servers.map((server) => server.stop()))
  }
}

export type Violation = TierEvents['consistency:violated']

export const violationText = ({ cache, key, node, owner, staleness, version, newer, ageMs }: Violation): string =>
  `${cache} ${key}: ${staleness} on ${node} (${owner}), version ${version}, should be ${newer ?? 'gone or another'}, for ${ageMs} ms`
