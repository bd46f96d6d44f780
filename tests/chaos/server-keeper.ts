/**
 * The process that starts Redis servers for the ground: to start one holds up the process that does it, and the proxies may not be late.
 */
import { type RedisServer, type RedisServerOptions, startRedisServer } from '../../src/testing/redis-server.ts'
import { answerOrders, ForkedWorker } from '../support/forked-worker.ts'

type KeeperOrder =
  | { readonly do: 'start'; readonly name: string; readonly options: RedisServerOptions }
  /** SIGKILL; answered when it is gone. */
  | { readonly do: 'kill'; readonly name: string }

export interface KeptServer {
  readonly url: string
  readonly port: number
  readonly pid: number
}

const ANSWER_WITHIN_MS = 30_000

/** The ground's end. */
export class ServerKeeper {
  readonly #worker = new ForkedWorker<KeeperOrder>(new URL(import.meta.url))

  /** @param name by which it is killed; the one before of that name must be gone */
  start(name: string, options: RedisServerOptions): Promise<KeptServer> {
    return this.#worker.ask<KeptServer>({ do: 'start', name, options }, ANSWER_WITHIN_MS)
  }

  /** Harmless when it is gone. */
  async kill(name: string): Promise<void> {
    await this.#worker.ask({ do: 'kill', name }, ANSWER_WITHIN_MS)
  }

  async close(): Promise<void> {
    await this.#worker.close()
  }
}

/** The process's own. */
const servers = new Map<string, RedisServer>()

async function answer(order: KeeperOrder): Promise<KeptServer | undefined> {
  if (order.do === 'kill') {
    await servers.get(order.name)?.kill()
    servers.delete(order.name)
    return undefined
  }
  const server = await startRedisServer(order.options)
  servers.set(order.name, server)
  return { url: server.url, port: server.port, pid: server.pid }
}

if (import.meta.main) {
  answerOrders<KeeperOrder>(answer, async () => void (await Promise.allSettled(Array.from(servers.values(), (server) => server.kill()))))
}
