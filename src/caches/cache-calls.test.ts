import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn } from '../../tests/support/cache-bench.ts'
import { ConfigurationError } from '../errors.ts'
import { Session } from '../session.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { FakeClock } from '../testing/fake-clock.ts'

const { cache } = cacheOn<string>({ strategy: cacheAside<string>(), ttl: '10s' })
const session = new Session(new FakeClock())

for (const [name, call, message] of [
  [
    'a token for a session',
    () => cache.get('a', { session: 'AAAA' as never }),
    /session: needs what tier\.session\(\) made, but got: "AAAA"/,
  ],
  [
    'reads of all owners',
    () => cache.get('a', { reads: 'all' as never }),
    /reads: needs one of 'primary', 'nearest', 'quorum', but got: "all"/,
  ],
  ['tags for a read', () => cache.get('a', { tags: ['red'] } as never), /needs options among .*, but got: "tags"/],
  ['a session for a touch', () => cache.touch('a', { session } as never), /needs options among .*, but got: "session"/],
  ['a ttl for a delete', () => cache.delete('a', { ttl: 1 } as never), /needs options among .*, but got: "ttl"/],
  [
    'tags that are text',
    () => cache.set('a', 'A', { tags: 'red' as never }),
    /tags: needs an array of texts that are not empty, but got: "red"/,
  ],
  ['an empty tag', () => cache.set('a', 'A', { tags: [''] }), /tags: needs an array of texts that are not empty, but got: \[""\]/],
  ['a ttl of nothing', () => cache.set('a', 'A', { ttl: 0 }), /ttl: needs a duration of at least 1 ms, but got: 0/],
  ['a grace in unknown units', () => cache.set('a', 'A', { grace: '1 h' as never }), /grace: needs a duration.*but got: "1 h"/],
  ['null for entries', () => cache.setMany(null as never), /entries: needs a Map, or an iterable of \[key, value\], but got: null/],
  ['null for keys', () => cache.getMany(null as never), /keys: needs an array, Set or other iterable of keys, but got: null/],
  ['no loader', () => cache.getOrSet('a', undefined as never), /getOrSet: load: needs a function, but got: undefined/],
] as const) {
  test(`a call refuses ${name}`, async () => {
    await assert.rejects(
      async () => call(),
      (error) => error instanceof ConfigurationError && message.test(error.message),
    )
  })
}

test('a call that is refused leaves no timer', async () => {
  const { cache, clock } = cacheOn<string>({ strategy: cacheAside<string>(), ttl: '10s' })
  await assert.rejects(cache.deleteByTag('red', { deadline: '1h' }))
  await assert.rejects(cache.get('', { deadline: '1h' }).then(() => cache.get('x'.repeat(2_000), { deadline: '1h' })))
  assert.equal(clock.pendingTimers, 0)
})
