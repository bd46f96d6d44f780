/**
 * ioredis 6, the client that Ringtail itself is built on: plain, and with the auto-pipelining that its README offers.
 */
import { Redis } from 'ioredis-6'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import { readmeOf } from '../harness/readme.ts'

export const ioredis: Peer = {
  name: 'ioredis',
  packages: ['ioredis-6'],
  page: readmeOf('ioredis-6', 'Connect to Redis'),
  open: (ground) => open(ground, 'ioredis', false),
}

export const ioredisAutoPipelining: Peer = {
  name: 'ioredis-auto-pipelining',
  packages: ['ioredis-6'],
  page: readmeOf('ioredis-6', 'Autopipelining'),
  open: (ground) => open(ground, 'ioredis-auto', true),
}

async function open({ urls, ttlMs }: Ground, prefix: string, enableAutoPipelining: boolean): Promise<Contestant> {
  const client = new Redis(urls[0]!, { enableAutoPipelining })
  return {
    async get(key) {
      const text = await client.get(`${prefix}:${key}`)
      return text === null ? undefined : JSON.parse(text)
    },
    getMany: async (keys) => (await client.mget(keys.map((key) => `${prefix}:${key}`))).map((text) => text && JSON.parse(text)),
    set: (key, product) => client.set(`${prefix}:${key}`, JSON.stringify(product), 'PX', ttlMs),
    close: () => client.quit(),
  }
}
