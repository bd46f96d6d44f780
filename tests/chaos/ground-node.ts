/**
 * One cache node of the ground: a Redis server that can be killed and started again on its port, and the proxy before it.
 */
import { mkdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import { type RedisServer, startRedisServer, startToxicProxy, type ToxicProxy } from '../../src/testing/index.ts'

/** Bytes of a node that is to be full: room for all that is cached and as much again, which ballast takes. */
const FULL_BYTES = 12 * 1_048_576
/** So many keys of 1 KB a call. */
const BALLAST = `for n = 1, 2000 do redis.call('set', 'ballast:' .. ARGV[1] .. ':' .. n, string.rep('x', 1000), 'px', 3600000) end`
const MOST_BALLAST_CALLS = 50

export class GroundNode {
  readonly id: string
  readonly zone: string
  readonly proxy: ToxicProxy
  readonly #isFull: boolean
  readonly #folder: string
  #server: RedisServer

  private constructor(id: string, zone: string, folder: string, isFull: boolean, server: RedisServer, proxy: ToxicProxy) {
    this.id = id
    this.zone = zone
    this.proxy = proxy
    this.#folder = folder
    this.#isFull = isFull
    this.#server = server
  }

  /** @param folder for its snapshots */
  static async start(id: string, zone: string, folder: string, isFull: boolean): Promise<GroundNode> {
    mkdirSync(folder, { recursive: true })
    const server = await startRedisServer(optionsOf(folder, isFull))
    return new GroundNode(id, zone, folder, isFull, server, await startToxicProxy({ to: server.url }))
  }

  get pid(): number {
    return this.#server.pid
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#server.kill()
  }

  pause(): void {
    this.#server.pause()
  }

  resume(): void {
    this.#server.resume()
  }

  /** In place of one that was killed, on its port; empty unless it has a snapshot. @param args more of the server's own */
  async restart(args: readonly string[] = []): Promise<void> {
    const options = optionsOf(this.#folder, this.#isFull)
    this.#server = await startRedisServer({ ...options, port: this.#server.port, args: [...options.args, ...args] })
  }

  /** A command past the proxy. */
  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const client = new Redis(this.#server.port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => null })
    client.on('error', () => {})
    try {
      return await client.call(name, ...args)
    } finally {
      client.disconnect()
    }
  }

  /** A snapshot of what it has now, which a restart finds. */
  async save(): Promise<void> {
    await this.command('SAVE')
  }

  /** Until it evicts. */
  async fill(): Promise<void> {
    for (let call = 0; call < MOST_BALLAST_CALLS; call++) {
      const evicted = /evicted_keys:(\d+)/.exec(String(await this.command('INFO', 'stats')))
      if (Number(evicted?.[1]) > 0) return
      await this.command('EVAL', BALLAST, 0, call)
    }
    throw new Error(`chaos: node ${this.id} did not fill up`)
  }

  async stop(): Promise<void> {
    this.#server.resume()
    await this.proxy.close()
    await this.#server.kill()
  }
}

function optionsOf(folder: string, isFull: boolean) {
  const args = ['--dir', folder, '--dbfilename', 'snapshot.rdb', '--busy-reply-threshold', '50']
  return { args, ...(isFull && { maxMemory: FULL_BYTES, policy: 'volatile-lfu' }) }
}
