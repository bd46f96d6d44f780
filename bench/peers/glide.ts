/**
 * GLIDE, the client of Valkey's makers: a core in Rust with threads of its own, so its processor time is that of the process, not of one thread.
 *
 * By default it refuses more than 1,000 requests in flight, and logs a line for each; the line-up has more. So its bound is set higher, and what it warns of
 * is not logged.
 */
import { Decoder, GlideClient, Logger, TimeUnit } from '@valkey/valkey-glide'
import type { Peer } from '../harness/contestant.ts'
import { readmeOf } from '../harness/readme.ts'

/** Of an open loop with as many waiting as it bears. */
const MOST_IN_FLIGHT = 16_384

export const glide: Peer = {
  name: 'glide',
  packages: ['@valkey/valkey-glide'],
  page: readmeOf('@valkey/valkey-glide', 'Standalone Mode:'),
  async open({ urls, ttlMs }) {
    const { hostname, port } = new URL(urls[0]!)
    Logger.setLoggerConfig('error')
    const client = await GlideClient.createClient({
      addresses: [{ host: hostname, port: Number(port) }],
      requestTimeout: 500,
      clientName: 'bench',
      inflightRequestsLimit: MOST_IN_FLIGHT,
      defaultDecoder: Decoder.String,
    })
    const parsed = (text: unknown) => (text === null ? undefined : JSON.parse(text as string))
    return {
      get: async (key) => parsed(await client.get(`glide:${key}`)),
      getMany: async (keys) => (await client.mget(keys.map((key) => `glide:${key}`))).map(parsed),
      set: (key, product) => client.set(`glide:${key}`, JSON.stringify(product), { expiry: { type: TimeUnit.Milliseconds, count: ttlMs } }),
      close: async () => client.close(),
    }
  },
}
