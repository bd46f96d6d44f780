/** node-redis 6, the client of Redis's own makers. It writes the commands of one turn together without being asked to. */
import { createClient } from 'redis'
import type { Peer } from '../harness/contestant.ts'
import { readmeOf } from '../harness/readme.ts'

export const nodeRedis: Peer = {
  name: 'node-redis',
  packages: ['redis'],
  page: readmeOf('redis', 'Auto-Pipelining'),
  async open({ urls, ttlMs }) {
    const client = createClient({ url: urls[0]! }).on('error', (error) => console.error('node-redis:', error))
    await client.connect()
    return {
      async get(key) {
        const text = await client.get(`node-redis:${key}`)
        return text === null ? undefined : JSON.parse(text)
      },
      getMany: async (keys) => (await client.mGet(keys.map((key) => `node-redis:${key}`))).map((text) => text && JSON.parse(text)),
      set: (key, product) => client.set(`node-redis:${key}`, JSON.stringify(product), { expiration: { type: 'PX', value: ttlMs } }),
      close: () => client.close(),
    }
  },
}
