import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock, systemRandom } from '../clock.ts'
import { ClosedError, ConfigurationError, NodeError } from '../errors.ts'
import { noEmit } from '../events.ts'
import { adminOf, LIVE, server, until } from '../testing/live-redis.ts'
import { type RedisServer, startRedisServer } from '../testing/redis-server.ts'
import type { Bus, Listener } from './bus.ts'
import { BusInvalidations } from './bus-invalidations.ts'
import { redisBus } from './redis-bus.ts'

class Ear implements Listener {
  readonly messages: string[] = []
  readonly losses: boolean[] = []
  received(bytes: Uint8Array): void {
    this.messages.push(Buffer.from(bytes).toString())
  }
  lost(_reason: string, hearing: boolean): void {
    this.losses.push(hearing)
  }
}

function busTo(t: TestContext, { url }: Pick<RedisServer, 'url'>): Bus {
  const bus = redisBus(url, { connectTimeout: '5s' })
  t.after(() => bus.close())
  return bus
}

test('a message reaches every listener of its channel on every bus, and none of another', LIVE, async (t) => {
  const redis = await server(t)
  const [one, two] = [busTo(t, redis), busTo(t, redis)]
  const [a, b, other] = [new Ear(), new Ear(), new Ear()]
  await Promise.all([one.subscribe('x', a), two.subscribe('x', b), two.subscribe('y', other)])
  await one.publish('x', Buffer.from('hello'))
  await until(() => a.messages.length === 1 && b.messages.length === 1)
  assert.deepEqual([a.messages, b.messages, other.messages], [['hello'], ['hello'], []])
})

test('a listener that stopped hears nothing more, one that comes later does', LIVE, async (t) => {
  const bus = busTo(t, await server(t))
  const [gone, stays] = [new Ear(), new Ear()]
  const stop = await bus.subscribe('x', gone)
  await stop()
  await bus.subscribe('x', stays)
  await bus.publish('x', Buffer.from('late'))
  await until(() => stays.messages.length === 1)
  assert.deepEqual(gone.messages, [])
})

test('a connection that breaks is told at both ends, and messages come again after it', LIVE, async (t) => {
  const redis = await server(t)
  const bus = busTo(t, redis)
  const ear = new Ear()
  await bus.subscribe('x', ear)
  await adminOf(t, redis).call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await until(() => ear.losses.length === 2)
  assert.deepEqual(ear.losses, [false, true])
  await bus.publish('x', Buffer.from('again'))
  await until(() => ear.messages.length === 1)
})

test('a server that freezes without a word is noticed', LIVE, async (t) => {
  const redis = await server(t)
  const bus = busTo(t, redis)
  const ear = new Ear()
  await bus.subscribe('x', ear)
  redis.pause()
  const stoppedAtMs = systemClock.monotonic()
  await until(() => ear.losses.length === 1)
  const tookMs = systemClock.monotonic() - stoppedAtMs
  redis.resume()
  assert.ok(tookMs < 4_000, `took ${tookMs} ms`)
  await until(() => ear.losses.length === 2)
})

test('without a server, subscribing and publishing fail; once it is there, a subscriber is let in', LIVE, async (t) => {
  const first = await startRedisServer()
  await first.stop()
  const bus = busTo(t, first)
  await assert.rejects(bus.subscribe('x', new Ear()), NodeError)
  await assert.rejects(bus.publish('x', Buffer.from('lost')), NodeError)
  await server(t, { port: first.port })
  const ear = new Ear()
  await until(() =>
    bus.subscribe('x', ear).then(
      () => true,
      () => false,
    ),
  )
  await bus.publish('x', Buffer.from('heard'))
  await until(() => ear.messages.includes('heard'))
})

test('invalidations cross from process to process, and a broken connection is a loss', LIVE, async (t) => {
  const redis = await server(t)
  const [writer, reader] = [1, 2].map(() => {
    const parts = { bus: busTo(t, redis), clock: systemClock, random: systemRandom, emit: noEmit }
    const invalidations = new BusInvalidations(parts)
    t.after(() => invalidations.close())
    return invalidations
  }) as [BusInvalidations, BusInvalidations]
  const keys: string[] = []
  let losses = 0
  reader.follow('rt:a:', { changed: (changed) => keys.push(...changed), lost: () => losses++ })
  await until(() => reader.covers('rt:a:') && writer.covers('rt:') === false)
  writer.follow('rt:a:', { changed() {}, lost() {} })
  await until(() => writer.covers('rt:a:'))
  writer.announce(['rt:a:1', 'rt:b:1'])
  await until(() => keys.length > 0)
  assert.deepEqual(keys, ['rt:a:1'])
  const before = losses
  await adminOf(t, redis).call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await until(() => losses >= before + 2 && reader.covers('rt:a:'))
})

test('a closed bus takes nothing more, and what is no address is refused', LIVE, async (t) => {
  const bus = busTo(t, await server(t))
  await bus.subscribe('x', new Ear())
  await bus.close()
  await assert.rejects(bus.publish('x', Buffer.from('late')), ClosedError)
  await assert.rejects(bus.subscribe('x', new Ear()), ClosedError)
  assert.throws(() => redisBus('http://nowhere'), ConfigurationError)
  assert.throws(() => redisBus('redis://nowhere', { retries: 3 } as object), ConfigurationError)
})
