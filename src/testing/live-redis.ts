import type { TestContext } from 'node:test'
import { Redis } from 'ioredis'
import { systemClock } from '../clock.ts'
import type { EventName, TierEvents } from '../events.ts'
import type { CacheNode } from '../node/node.ts'
import { type RedisNodeOptions, redisNode } from '../node/redis-node.ts'
import { got } from './node-subject.ts'
import { type RedisServer, type RedisServerOptions, startRedisServer } from './redis-server.ts'

/** What a node told, and a way to wait for what it has yet to tell. */
export class Told {
  readonly events: { name: EventName; payload: TierEvents[EventName] }[] = []
  readonly emit = <K extends EventName>(name: K, payload: TierEvents[K]): void => {
    this.events.push({ name, payload })
  }

  get names(): string[] {
    return this.events.map(({ name }) => name)
  }

  async until(name: EventName, times = 1): Promise<void> {
    await until(() => this.names.filter((each) => each === name).length >= times)
  }
}

/** One turn of the event loop: what was asked has been written by then. */
export const turn = (): Promise<void> => new Promise((resolve) => systemClock.soon(resolve))

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await turn()
}

export const answers = (node: CacheNode, key: string): Promise<boolean> =>
  got(node, key).then(
    () => true,
    () => false,
  )

/** With settings that no node has anything to say of, unless a test says otherwise. */
export async function server(t: TestContext, options?: RedisServerOptions): Promise<RedisServer> {
  const started = await startRedisServer({ maxMemory: 256 * 1024 * 1024, ...options })
  t.after(() => started.stop())
  return started
}

export async function connected(t: TestContext, target: string, options?: RedisNodeOptions): Promise<{ node: CacheNode; told: Told }> {
  const told = new Told()
  // Two seconds a try unless the test is about deadlines: it may share two cores with many others.
  const node = redisNode(target, { timeout: '2s', ...options })
  t.after(() => node.close())
  await node.connect({ emit: told.emit })
  return { node, told }
}

export function adminOf(t: TestContext, { port }: RedisServer): Redis {
  const client = new Redis(port, '127.0.0.1')
  t.after(() => client.disconnect())
  return client
}

/** The code of the error that a get fails with before the call has returned; undefined when it did not. */
export function failsAtOnce(node: CacheNode, key: string): string | undefined {
  let code: string | undefined
  node.get(key, {
    answered: () => {},
    failed: (error) => {
      code = error.code
    },
  })
  return code
}

export const LIVE = { timeout: 30_000 }
