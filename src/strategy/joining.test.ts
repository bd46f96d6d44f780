/**
 * Who joins a load that another reader of the process has begun: what it may be told, and whom it asks when it has to look again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { HeldReader } from '../../tests/support/held-reader.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import type { ClusterCall, Fetched } from '../cluster/cluster.ts'
import { UnavailableError } from '../errors.ts'
import { Session } from '../session.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { readThrough } from './read-through.ts'

/** A cluster whose leases wait for the test, and whose reads fail as long as the test says so. */
class HeldLeases extends MapCluster {
  readonly asked: PromiseWithResolvers<void>[] = []
  readonly levels: ClusterCall['read'][] = []
  readable = true
  /** Reads wait here while there is such a list. */
  heldReads: (() => void)[] | undefined

  override async lease(...asked: Parameters<MapCluster['lease']>) {
    const held = Promise.withResolvers<void>()
    this.asked.push(held)
    await held.promise
    return super.lease(...asked)
  }

  override fetch(key: string, settle: (fetched: Fetched) => void, call?: ClusterCall): void {
    this.levels.push(call?.read)
    if (this.heldReads !== undefined) this.heldReads.push(() => super.fetch(key, settle))
    else if (this.readable) super.fetch(key, settle)
    else settle({ bytes: undefined, node: undefined, failure: new UnavailableError('too few owners answered') })
  }
}

function oneProcess() {
  const clock = new FakeClock()
  const cluster = new HeldLeases(clock)
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ttl: '10s', jitter: 0, earlyRefresh: false }, cluster, clock)
  const writer = cacheOn<string>({ strategy: readThrough(new HeldReader()), ttl: '10s', jitter: 0 }, cluster, clock, 'things', 2)
  return { clock, cluster, reader, cache, writer }
}

test('who could not be told by enough owners, and joins another reader of the key, does not take one owner’s word either', async () => {
  const { clock, cluster, reader, cache, writer } = oneProcess()
  const missed = cache.get('a')
  await settled()
  // Meanwhile another process puts the key there, and then most of the owners are out of this one's reach.
  await writer.keyspace.writeMany([
    { key: 'a', value: 'of one owner', kind: 'value', version: writer.keyspace.nextVersion(), begunMs: clock.now(), loadCostMs: 0 },
  ])
  cluster.readable = false
  const cutOff = cache.get('a', { reads: 'quorum' })
  await settled()
  cluster.asked[0]!.resolve()
  assert.equal(await missed, 'of one owner')
  for (let at = 1; reader.calls.length === 0; at++) {
    await clock.advance(51)
    cluster.asked[at]?.resolve()
    await settled()
  }
  await reader.answer(0, { a: 'of the store' })
  assert.equal(await cutOff, 'of the store')
})

test('who joined a load that was overtaken looks again at the level it asked for', async () => {
  const { cluster, reader, cache, writer } = oneProcess()
  const missed = cache.get('a')
  await settled()
  cluster.asked[0]!.resolve()
  await settled()
  const late = cache.get('a', { reads: 'quorum' })
  await settled()
  await writer.keyspace.eraseMany(['a'])
  cluster.levels.length = 0
  await reader.answer(0, { a: 'before' })
  assert.equal(await missed, 'before')
  assert.deepEqual(cluster.levels, ['quorum'])
  cluster.asked[1]!.resolve()
  await settled()
  await reader.answer(1, { a: 'after' })
  assert.equal(await late, 'after')
})

test('who reads in a session that all owners must be asked for asks them all when it looks again', async () => {
  const { clock, cluster, reader, cache, writer } = oneProcess()
  const missed = cache.get('a')
  await settled()
  cluster.asked[0]!.resolve()
  await settled()
  const session = new Session(clock)
  session.wrote('rt:things:a', 1n)
  const late = cache.get('a', { session })
  await settled()
  await writer.keyspace.eraseMany(['a'])
  cluster.levels.length = 0
  await reader.answer(0, { a: 'before' })
  assert.equal(await missed, 'before')
  assert.deepEqual(cluster.levels, ['all'])
  cluster.asked[1]!.resolve()
  await settled()
  await reader.answer(1, { a: 'after' })
  await late
})

test('who joined a load that a write overtook has what is left of the time for a load, and no more', async () => {
  const { clock, cluster, reader, cache, writer } = oneProcess()
  const missed = cache.get('a')
  await settled()
  cluster.asked[0]!.resolve()
  await settled()
  const late = cache.get('a').then(String, ({ code, message }) => `${code}: ${message}`)
  await clock.advance(700)
  await writer.keyspace.eraseMany(['a'])
  await reader.answer(0, { a: 'A' })
  assert.equal(await missed, 'A')
  await settled()
  cluster.asked[1]!.resolve()
  await settled()
  assert.equal(reader.calls.length, 2)
  await clock.advance(299)
  let told = 'nothing yet'
  void late.then((text) => {
    told = text
  })
  await settled()
  assert.equal(told, 'nothing yet')
  await clock.advance(1)
  await settled()
  assert.match(told, /^DEADLINE_EXCEEDED: cache 'things': loading 'a' again, for a write overtook its load: not done within 300 ms/)
})

test('nothing more is begun for who joined a load that a write overtook, and has left since', async () => {
  const { clock, cluster, reader, cache, writer } = oneProcess()
  const missed = cache.get('a')
  await settled()
  cluster.asked[0]!.resolve()
  await settled()
  const late = assert.rejects(cache.get('a'), /^DeadlineError: cache 'things': loading 'a' again/)
  await settled()
  await writer.keyspace.eraseMany(['a'])
  cluster.heldReads = []
  await reader.answer(0, { a: 'A' })
  assert.equal(await missed, 'A')
  await clock.advance(1_000)
  await late
  for (const read of cluster.heldReads) read()
  await settled()
  assert.deepEqual([cluster.asked.length, reader.calls.length], [1, 1])
})
