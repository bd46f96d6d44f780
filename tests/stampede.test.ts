import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { type RedisServer, sharedMs, startRedisServer } from '../src/testing/index.ts'
import { until } from '../src/testing/live-redis.ts'
import { LOADS, type StampedeOrder } from './races/stampede-worker.ts'
import { ForkedWorker } from './support/forked-worker.ts'

/** One load in the whole fleet for a key that everybody misses at once, on real servers and in real processes. */

const LIVE = { timeout: 110_000 }
const PROCESSES = 4
const CALLERS = 1_000
const LOADER_MS = 500
/** For how long at most a loader that died keeps others from loading, and what a busy machine adds. */
const LEASE_MS = 2_000
const SLACK_MS = 1_000
const WITHIN_MS = 60_000

let servers: RedisServer[] = []
let loads: RedisServer
let counter: Redis
before(async () => {
  servers = await Promise.all(Array.from({ length: 5 }, () => startRedisServer()))
  loads = await startRedisServer()
  counter = new Redis(loads.url)
})
after(async () => {
  counter.disconnect()
  await Promise.all([...servers, loads].map((server) => server.stop()))
})

async function workers(t: TestContext): Promise<ForkedWorker<StampedeOrder>[]> {
  const nodes = servers.map(({ url }, at) => ({ id: `n${at}`, url }))
  const started = Array.from(
    { length: PROCESSES },
    () => new ForkedWorker<StampedeOrder>(new URL('./races/stampede-worker.ts', import.meta.url)),
  )
  t.after(() => Promise.all(started.map((each) => each.close())))
  await Promise.all(started.map((each, process) => each.ask({ do: 'open', process, nodes, loads: loads.url }, WITHIN_MS)))
  await counter.del(LOADS)
  return started
}

/** Who loaded, and when. */
async function loadsSoFar(): Promise<{ process: number; atMs: number }[]> {
  return (await counter.lrange(LOADS, 0, -1)).map((line) => {
    const [process, atMs] = line.split(' ')
    return { process: Number(process), atMs: Number(atMs) }
  })
}

const get = (key: string, rest: Partial<Extract<StampedeOrder, { do: 'get' }>> = {}): StampedeOrder => ({
  do: 'get',
  key,
  callers: CALLERS,
  loaderMs: LOADER_MS,
  ttlMs: 60_000,
  ...rest,
})

test('a thousand callers in each of four processes get one expired key: one load, whose value all of them have', LIVE, async (t) => {
  const processes = await workers(t)
  await processes[0]!.ask(get('expired', { callers: 1, loaderMs: 0, ttlMs: 50 }), WITHIN_MS)
  const clients = servers.map(({ url }) => new Redis(url))
  t.after(() => clients.forEach((client) => void client.disconnect()))
  await until(async () => (await Promise.all(clients.map((client) => client.exists('rt:stampede:expired')))).every((count) => count === 0))
  await counter.del(LOADS)
  const values = await Promise.all(processes.map((each) => each.ask<string[]>(get('expired'), WITHIN_MS)))
  const [load, ...more] = await loadsSoFar()
  assert.deepEqual(more, [])
  for (const each of values) assert.deepEqual(each, [`loaded by ${load!.process}`])
})

test('a process that is killed while it loads frees the key within the lease time, and one other loads', LIVE, async (t) => {
  const [victim, ...others] = await workers(t)
  const lost = victim!.ask(get('orphan', { callers: 1, loaderMs: 60_000 }), WITHIN_MS).catch(() => 'lost')
  await until(async () => (await loadsSoFar()).length === 1)
  const killedMs = sharedMs()
  await victim!.kill()
  assert.equal(await lost, 'lost')
  const values = await Promise.all(others.map((each) => each.ask<string[]>(get('orphan'), WITHIN_MS)))
  const [first, second, ...more] = await loadsSoFar()
  assert.equal(first!.process, 0)
  assert.deepEqual(more, [])
  for (const each of values) assert.deepEqual(each, [`loaded by ${second!.process}`])
  const waitedMs = second!.atMs - killedMs
  t.diagnostic(`the second load began ${waitedMs.toFixed(0)} ms after the first loader was killed`)
  assert.ok(waitedMs <= LEASE_MS + SLACK_MS, `it began ${waitedMs} ms after`)
})
