/**
 * One cache node of the ground: a Redis server that can be killed and started again on its port, and the proxy before it.
 */
import { mkdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import { startToxicProxy, type ToxicProxy } from '../../src/testing/index.ts'
import type { KeptServer, ServerKeeper } from './server-keeper.ts'

/** Bytes of a node that is to be full: room for all that is cached and as much again, which ballast takes. */
const FULL_BYTES = 12 * 1_048_576
/** So many keys of 1 KB a call. */
const BALLAST = `for n = 1, 2000 do redis.call('set', 'ballast:' .. ARGV[1] .. ':' .. n, string.rep('x', 1000), 'px', 3600000) end`
const MOST_BALLAST_CALLS = 50
const MOST_HINTS = `local most = 0
for _, key in ipairs(redis.call('keys', 'rt:!hints:*')) do most = math.max(most, redis.call('zcard', key)) end
return most`

export interface GroundNodeParts {
  readonly id: string
  readonly zone: string
  /** For its snapshots. */
  readonly folder: string
  readonly isFull: boolean
  readonly keeper: ServerKeeper
}

export class GroundNode {
  readonly id: string
  readonly zone: string
  readonly proxy: ToxicProxy
  readonly #keeper: ServerKeeper
  readonly #isFull: boolean
  readonly #folder: string
  #server: KeptServer

  private constructor(parts: GroundNodeParts, server: KeptServer, proxy: ToxicProxy) {
    this.id = parts.id
    this.zone = parts.zone
    this.proxy = proxy
    this.#keeper = parts.keeper
    this.#folder = parts.folder
    this.#isFull = parts.isFull
    this.#server = server
  }

  static async start(parts: GroundNodeParts): Promise<GroundNode> {
    mkdirSync(parts.folder, { recursive: true })
    const server = await parts.keeper.start(parts.id, optionsOf(parts.folder, parts.isFull))
    return new GroundNode(parts, server, await startToxicProxy({ to: server.url }))
  }

  get pid(): number {
    return this.#server.pid
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#keeper.kill(this.id)
  }

  /** SIGSTOP. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** In place of one that was killed, on its port; empty unless it has a snapshot. @param args more of the server's own */
  async restart(args: readonly string[] = []): Promise<void> {
    const options = optionsOf(this.#folder, this.#isFull)
    this.#server = await this.#keeper.start(this.id, { ...options, port: this.#server.port, args: [...options.args, ...args] })
  }

  /** A command past the proxy. */
  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const client = new Redis(this.#server.port, '127.0.0.1', {
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      // It asks a busy server what it is.
      enableReadyCheck: false,
    })
    client.on('error', () => {})
    try {
      return await client.call(name, ...args)
    } finally {
      client.disconnect()
    }
  }

  /** A number that its INFO tells; undefined where it tells none. */
  async figure(name: string): Promise<number | undefined> {
    const found = new RegExp(`^${name}:(\\d+)`, 'm').exec(String(await this.command('INFO')))
    return found === null ? undefined : Number(found[1])
  }

  /** Of hints for one other node, the most. */
  async hintsKept(): Promise<number> {
    return Number(await this.command('EVAL', MOST_HINTS, 0))
  }

  /** Whether it answers that it is loading its snapshot. */
  async isLoading(): Promise<boolean> {
    return this.command('PING').then(
      () => false,
      (error: Error) => error.message.startsWith('LOADING'),
    )
  }

  /** A snapshot of what it has now, which a restart finds. */
  async save(): Promise<void> {
    await this.command('SAVE')
  }

  /** Until it evicts. */
  async fill(): Promise<void> {
    for (let call = 0; call < MOST_BALLAST_CALLS; call++) {
      if (((await this.figure('evicted_keys')) ?? 0) > 0) return
      await this.command('EVAL', BALLAST, 0, call)
    }
    throw new Error(`chaos: node ${this.id} did not fill up`)
  }

  /** Its memory and policy as they were at first. */
  async restoreMemory(): Promise<void> {
    const { maxMemory = 0, policy = 'noeviction' } = optionsOf(this.#folder, this.#isFull)
    await this.command('CONFIG', 'SET', 'maxmemory', maxMemory)
    await this.command('CONFIG', 'SET', 'maxmemory-policy', policy)
  }

  async stop(): Promise<void> {
    await this.proxy.close()
    await this.#keeper.kill(this.id)
  }
}

function optionsOf(folder: string, isFull: boolean) {
  const args = ['--dir', folder, '--dbfilename', 'snapshot.rdb', '--busy-reply-threshold', '50']
  return { args, ...(isFull && { maxMemory: FULL_BYTES, policy: 'volatile-lfu' }) }
}
