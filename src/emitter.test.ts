import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import type { Cache } from './caches/cache.ts'
import type { Tier } from './create-tier.ts'
import { Emitter } from './emitter.ts'
import type { CacheChange } from './invalidation/change-feed.ts'
import { Deliveries } from './listener-queue.ts'
import { FakeClock } from './testing/fake-clock.ts'

function rig() {
  const clock = new FakeClock()
  return { clock, emitter: new Emitter(new Deliveries(clock)) }
}

const down = (node: string) => ({ node, reason: 'gone' })

test('listeners are called later, in order; the tier itself and the diagnostics channel hear at once', async () => {
  const { clock, emitter } = rig()
  const told: string[] = []
  const atOnce: string[] = []
  const hear = (): void => void atOnce.push('channel')
  subscribe('ringtail:node:down', hear)
  emitter.on('node:down', ({ node }) => told.push(node))
  emitter.onAtOnce('node:down', ({ node }) => void atOnce.push(node))
  for (const node of ['a', 'b', 'a']) emitter.emit('node:down', down(node))
  unsubscribe('ringtail:node:down', hear)
  assert.deepEqual(told, [])
  assert.deepEqual(atOnce, ['channel', 'a', 'channel', 'b', 'channel', 'a'])
  await clock.settle()
  assert.deepEqual(told, ['a', 'b', 'a'])
})

test('a listener that throws, rejects or is too slow is told of, and harms no other', async () => {
  const { clock, emitter } = rig()
  const [told, failures]: [string[], string[]] = [[], []]
  const gate = Promise.withResolvers<void>()
  emitter.on('listener:failed', ({ event, reason }) => failures.push(`${event}: ${reason}`))
  // One that fails when told of failures is not told of itself, over and over.
  emitter.on('listener:failed', () => {
    throw new Error('again')
  })
  emitter.on('node:up', () => {
    throw new Error('thrown')
  })
  emitter.on('node:up', () => Promise.reject(new Error('rejected')))
  emitter.on('node:down', () => gate.promise)
  emitter.on('node:down', ({ node }) => told.push(node))
  emitter.emit('node:up', { node: 'a' })
  emitter.emit('node:down', down('first'))
  await clock.settle()
  assert.deepEqual(failures, ['node:up: Error: thrown', 'node:up: Error: rejected'])
  for (let nth = 0; nth <= 1_000; nth += 100) {
    for (let each = 0; each < 100; each++) emitter.emit('node:down', down('next'))
    await clock.settle()
  }
  assert.equal(told.length, 1_101)
  assert.match(failures[2]!, /^node:down: slower than it happens: 1001 were left out/)
  assert.equal(failures.length, 3)
})

/** Never run: what the compiler takes and refuses is the test. */
export function typesOf(tier: Tier, cache: Cache<string>): void {
  tier.on('entry:changed', ({ cache, key }) => `${cache}${key}`)
  tier.on('changes:missed', ({ reason, dropped = 0 }) => reason.length + dropped)
  tier.on('node:down', ({ node }) => node)
  cache.on('group:deleted', ({ kind, name }) => (kind === 'all' ? '' : name))
  cache.on('store:failed', ({ operation }) => operation)
  // @ts-expect-error not an event of one cache
  cache.on('node:down', () => {})
  // @ts-expect-error no values in payloads
  cache.on('entry:changed', ({ value }) => value)
  void cache.subscribe({ keys: ['a'], tags: ['b'] }, async () => {})
  void cache.subscribe({ all: true }, (change: CacheChange) => {
    if (change.event === 'entry:changed') return change.key
    // @ts-expect-error a group has no key
    return change.key
  })
  // @ts-expect-error not a way to subscribe
  void cache.subscribe({ key: 'a' }, () => {})
}
