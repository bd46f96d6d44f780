import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { HeldReader } from '../../tests/support/held-reader.ts'
import { byNow, twoProcesses } from '../../tests/support/two-processes.ts'
import { readThrough } from './read-through.ts'

const WIRE = 'rt:things:a'

test('who has waited for long when a holder gives up is told so at once; who came late loads', async () => {
  const { one, other, reader, cluster, clock } = twoProcesses()
  const late = cacheOn<string>({ strategy: readThrough(reader), ttl: '10s' }, cluster, clock, 'things', 3)
  void one.cache.get('a').catch(() => {})
  await settled()
  await clock.advance(100)
  const waiting = other.cache.get('a').then(
    () => 'a value',
    ({ code, message }) => `${code}: ${message}`,
  )
  await clock.advance(600)
  void late.cache.get('a').catch(() => {})
  await clock.advance(290)
  assert.equal(reader.calls.length, 1)
  await clock.advance(70)
  assert.match(
    (await byNow(waiting))?.value ?? 'nothing yet',
    /^DEADLINE_EXCEEDED: cache 'things': another process gave up loading 'a', after 9\d\d ms/,
  )
  assert.equal(reader.calls.length, 2)
  await clock.advance(3_000)
  assert.equal(clock.pendingTimers, 0)
})

test('who has waited for long for a load that brought nothing to keep loads itself', async () => {
  const { one, other, reader, clock } = twoProcesses({ negativeTtl: 0 })
  const first = one.cache.get('a')
  await settled()
  const waiting = other.cache.get('a')
  await clock.advance(700)
  await reader.answer(0, {})
  assert.equal(await first, undefined)
  await clock.advance(51)
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'A' })
  assert.equal(await waiting, 'A')
})

test('who has waited for a holder has that much less time of its own, and is told of both', async () => {
  const { one, other, reader, clock } = twoProcesses()
  void one.cache.get('a').catch(() => {})
  await settled()
  await clock.advance(700)
  const waiting = other.cache.get('a').then(
    () => 'a value',
    ({ code, message }) => `${code}: ${message}`,
  )
  await clock.advance(360)
  assert.equal(reader.calls.length, 2)
  const { withinMs = Number.POSITIVE_INFINITY } = reader.calls[1]!
  assert.ok(withinMs > 600 && withinMs <= 700, `${withinMs}`)
  await clock.advance(639)
  assert.equal(await byNow(waiting), undefined)
  await clock.advance(1)
  assert.match(
    (await byNow(waiting))?.value ?? 'nothing yet',
    /^DEADLINE_EXCEEDED: cache 'things': a load of 1 keys took longer than 1000 ms, 3\d\d ms of waiting for another process among them/,
  )
})

test('who has waited for as long as a load may take, on holder after holder, is told so, and asks the store for nothing', async () => {
  const { cluster, clock, other, reader } = twoProcesses({ deadlines: { load: 500 } })
  const ask = { key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 60_000 }
  await cluster.lease([ask])
  const read = other.cache.get('a').then(String, ({ code, message }) => `${code}: ${message}`)
  await clock.advance(499)
  assert.equal(await byNow(read), undefined)
  await clock.advance(52)
  assert.match(
    (await byNow(read))?.value ?? 'nothing yet',
    /^DEADLINE_EXCEEDED: cache 'things': others have not loaded 'a', after 5\d\d ms of waiting for them/,
  )
  assert.equal(reader.calls.length, 0)
  assert.equal(clock.pendingTimers, 0)
})

test('who waits for a lease asks at times that differ from process to process, at most 50 ms apart', async () => {
  const asked = await Promise.all(
    [3, 4].map(async (seed) => {
      const { one, cluster, clock } = twoProcesses()
      void one.cache.get('a').catch(() => {})
      await settled()
      const waiting = cacheOn<string>({ strategy: readThrough(new HeldReader()), ttl: '10s' }, cluster, clock, 'things', seed)
      const times: number[] = []
      const lease = cluster.lease.bind(cluster)
      cluster.lease = (requests) => {
        times.push(clock.monotonic())
        return lease(requests)
      }
      void waiting.cache.get('a').catch(() => {})
      await clock.advance(900)
      return times
    }),
  )
  assert.notDeepEqual(asked[0], asked[1])
  for (const times of asked) {
    const pauses = times.slice(1).map((at, nth) => at - times[nth]!)
    assert.ok(pauses.every((ms) => ms >= 1 && ms <= 50))
    assert.ok(times.length < 45, `${times.length} asks within 900 ms`)
  }
})

test('a caller who aborts while its process waits for a lease leaves at once, and no timer stays for longer than the wait', async () => {
  const { one, other, reader, clock } = twoProcesses()
  const first = one.cache.get('a')
  await settled()
  const leaving = new AbortController()
  const left = other.cache.get('a', { signal: leaving.signal, deadline: '30s' })
  await clock.advance(20)
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  await reader.answer(0, { a: 'A' })
  await first
  await clock.advance(51)
  assert.equal(clock.pendingTimers, 0)
})

test('a lease that lapses as its holder has died is none that was given up, though nodes tell of whole milliseconds', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { cluster, clock, reader } = twoProcesses()
    const ask = { key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 1_100 }
    await cluster.lease([ask])
    const lease = cluster.lease.bind(cluster)
    // What is left of a millisecond counts as one.
    cluster.lease = async (...asked) =>
      (await lease(...asked)).map((each) => (each.state === 'held' ? { ...each, forMs: each.forMs + 1 } : each))
    const { cache } = cacheOn<string>({ strategy: readThrough(reader), ttl: '10s' }, cluster, clock, 'things', seed)
    const read = cache.get('a')
    for (let ms = 0; ms < 1_200 && reader.calls.length === 0; ms++) await clock.advance(1)
    assert.equal(reader.calls.length, 1, `seed ${seed}`)
    await reader.answer(0, { a: 'A' })
    assert.equal(await read, 'A', `seed ${seed}`)
  }
})

test('a load after its holder has died, and the lease lapsed, has half of the time at least', async () => {
  const { cluster, clock, other, reader } = twoProcesses()
  await cluster.lease([{ key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 900 }])
  const read = other.cache.get('a')
  await clock.advance(951)
  assert.equal(reader.calls.length, 1)
  assert.equal(reader.calls[0]!.withinMs, 500)
  await clock.advance(440)
  await reader.answer(0, { a: 'A' })
  assert.equal(await read, 'A')
})

test('of those who wait for a holder that died one loads, and the others wait for that one too', async () => {
  const { cluster, clock, one, other, reader } = twoProcesses()
  const reads = [one.cache.get('a'), other.cache.get('a')]
  await cluster.lease([{ key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 980 }])
  await clock.advance(1_200)
  assert.equal(reader.calls.length, 1)
  await reader.answer(0, { a: 'A' })
  await clock.advance(60)
  assert.deepEqual(await Promise.all(reads), ['A', 'A'])
})
