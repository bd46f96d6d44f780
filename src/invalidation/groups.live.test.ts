import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock, systemRandom } from '../clock.ts'
import { RingCluster } from '../cluster/ring-cluster.ts'
import { noEmit } from '../events.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { entry } from '../testing/group-fleet.ts'
import { answers, connected, LIVE, server, until } from '../testing/live-redis.ts'
import type { RedisServer } from '../testing/redis-server.ts'
import { Groups } from './groups.ts'
import { Tracking } from './tracking.ts'

/** One process of a fleet over these servers. */
async function processOver(t: TestContext, servers: readonly RedisServer[]) {
  const nodes = await Promise.all(servers.map(async ({ url }, nth) => (await connected(t, url, { id: `n${nth}` })).node))
  await hashRing().prepare()
  const tracking = new Tracking({ nodes, clock: systemClock, random: systemRandom, emit: noEmit })
  t.after(() => tracking.close())
  const cluster = new RingCluster(hashRing().build(nodes, 3), { clock: systemClock, emit: noEmit })
  const groups = new Groups({ cache: 'c', cluster, invalidations: tracking, writes: 'quorum', clock: systemClock })
  const judge = async (judged: ReturnType<typeof entry>): Promise<boolean> =>
    groups.isCurrent(judged, 'k') ?? (await groups.learn([{ entry: judged, key: 'k' }]))[0]!
  const write = async (tags: readonly string[]) => {
    const begunMs = groups.nowMs()
    await groups.prepare(tags, 'k', begunMs)
    return entry(begunMs, tags)
  }
  await until(() => tracking.covers('rt:!group:c:'))
  return { groups, judge, write, tracking, nodes }
}

test('a tag deleted in one process is gone in the other, which asks no node while nothing changes', LIVE, async (t) => {
  const servers = await Promise.all([0, 1, 2].map(() => server(t)))
  const [one, two] = [await processOver(t, servers), await processOver(t, servers)]
  const written = await one.write(['t'])
  await until(async () => (await two.judge(written)) && two.groups.isCurrent(written, 'k') === true)
  assert.deepEqual(await one.groups.raise([{ kind: 'tag', name: 't' }]), { state: 'applied' })
  assert.equal(await one.judge(written), false)
  await until(async () => !(await two.judge(written)))
  const young = await two.write(['t'])
  assert.equal(await two.judge(young), true)
  assert.equal(await one.judge(young), true)
})

test('a server that comes back empty is given its records again by whoever asks', LIVE, async (t) => {
  const servers = await Promise.all([0, 1, 2].map(() => server(t)))
  const one = await processOver(t, servers)
  const written = await one.write(['t'])
  await one.groups.raise([{ kind: 'tag', name: 't' }])
  await until(async () => one.groups.isCurrent(written, 'k') ?? !(await one.judge(written)))
  const { port } = servers[0]!
  await servers[0]!.kill()
  await until(() => !one.tracking.covers('rt:!group:c:'))
  assert.equal(await one.judge(written), false)
  const again = await server(t, { port })
  // The two connections come back one after the other, and what is known by then is not asked for again.
  await until(() => answers(one.nodes[0]!, 'any'))
  await until(() => one.tracking.covers('rt:!group:c:'))
  const { node } = await connected(t, again.url)
  await until(async () => {
    await one.judge(written)
    return (await node.getMany(['rt:!group:c:tag:t']))[0] !== undefined
  })
  assert.equal(await one.judge(written), false)
})
