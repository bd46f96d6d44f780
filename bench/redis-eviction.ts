/**
 * Which settings of a Redis server keep the right entries: `node --conditions=ringtail-source bench/redis-eviction.ts [--reads N] [--json]`.
 *
 * Recorded reads (`studies/recorded.ts` says where from), else made ones, are replayed against a real server whose `maxmemory` holds about a third
 * of the objects: a miss puts 200 bytes with an expiry. Servers take the same reads one after the other. The frequencies of LFU fade by the minute, and
 * a replay takes less, so `lfu-decay-time` cannot be judged here.
 */
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis-6'
import { startRedisServer } from 'ringtail/testing'
import { madeTraces, recordedTraces } from './eviction/traces.ts'

const SETTINGS: readonly (readonly [policy: string, ...args: readonly string[]])[] = [
  ['volatile-lru'],
  ['volatile-lru', '--maxmemory-samples', '10'],
  ['volatile-lfu'],
  ['volatile-lfu', '--maxmemory-samples', '10'],
  ['volatile-lfu', '--maxmemory-samples', '10', '--lfu-log-factor', '1'],
  ['volatile-lfu', '--maxmemory-samples', '10', '--lfu-log-factor', '3'],
  ['volatile-lfu', '--maxmemory-samples', '10', '--lfu-log-factor', '30'],
  ['volatile-random'],
  ['volatile-ttl'],
]
const VALUE = Buffer.alloc(200, 'x')
/** What Redis takes for a key of 20 bytes, a value of 200, their headers and the expiry. */
const OBJECT_BYTES = 380
const SHARE = 0.3
const BATCH = 64

const { values: options } = parseArgs({
  options: { reads: { type: 'string', default: '2000000' }, data: { type: 'string' }, json: { type: 'boolean', default: false } },
})
const recorded = options.data === undefined ? [] : recordedTraces(options.data, Number(options.reads))
const traces = (recorded.length > 0 ? recorded : madeTraces(200_000)).filter(({ name }) => name !== 'reads-glimpse')
const figures: { trace: string; settings: string; hitRate: number; held: number; callsPerSecond: number }[] = []
for (const trace of traces) {
  for (const [policy, ...args] of SETTINGS) {
    const settings = [policy, ...args.map((arg) => arg.replace('--', ''))].join(' ')
    const figure = { trace: trace.name, settings, ...(await replayed(trace, policy, args)) }
    figures.push(figure)
    if (options.json) continue
    const { hitRate, held, callsPerSecond } = figure
    const rate = `${hitRate.toFixed(2)} % hits`.padStart(14)
    console.log(`${trace.name.padEnd(16)}${settings.padEnd(56)}${rate}, ${held} held, ${Math.round(callsPerSecond)} reads/s`)
  }
}
if (options.json) console.log(JSON.stringify(figures))

async function replayed({ keys, distinct }: (typeof traces)[number], policy: string, args: readonly string[]) {
  const server = await startRedisServer({ policy, args })
  const client = new Redis(server.url)
  try {
    const empty = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
    await client.config('SET', 'maxmemory', String(empty + Math.floor(distinct * SHARE * OBJECT_BYTES)))
    let hits = 0
    const start = performance.now()
    for (let from = 0; from < keys.length; from += BATCH) {
      const names = Array.from(keys.subarray(from, from + BATCH), (key) => `rt:orm:object-${key}`)
      const found = await client.mgetBuffer(names)
      const put = new Set<string>()
      const pipeline = client.pipeline()
      for (const [at, bytes] of found.entries()) {
        if (bytes !== null || put.has(names[at]!)) hits++
        else {
          put.add(names[at]!)
          pipeline.set(names[at]!, VALUE, 'PX', 3_600_000)
        }
      }
      if (put.size > 0) for (const [error] of (await pipeline.exec())!) if (error !== null) throw error
    }
    const seconds = (performance.now() - start) / 1_000
    return { hitRate: (100 * hits) / keys.length, held: await client.dbsize(), callsPerSecond: keys.length / seconds }
  } finally {
    client.disconnect()
    await server.stop()
  }
}
