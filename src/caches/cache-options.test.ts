import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { checkedCacheOptions } from './cache-options.ts'

const right = { strategy: cacheAside<string>(), ttl: '1m' } as const
const plain = { keys: 'plain' } as const
const checked = (options: object) => checkedCacheOptions<string>({ ...right, ...options } as never, "cache 'n'")

test('what is left out has its default, in milliseconds', () => {
  const { ttlMs, graceMs, jitter, negativeTtlMs, early, sliding, near, softDeadlineMs, loadDeadlineMs } = checked({})
  assert.deepEqual(
    { ttlMs, graceMs, jitter, negativeTtlMs, early, sliding, near, softDeadlineMs, loadDeadlineMs },
    {
      ttlMs: 60_000,
      graceMs: 0,
      jitter: 0.1,
      negativeTtlMs: 10_000,
      early: 'xfetch',
      sliding: false,
      near: undefined,
      softDeadlineMs: 0,
      loadDeadlineMs: 1_000,
    },
  )
  assert.deepEqual(checked({ near: { maxBytes: 65_536 } }).near, { maxBytes: 65_536, ttlMs: 10_000, copy: false })
  assert.deepEqual(checked({ ttl: '2s', near: { maxBytes: 65_536 } }).near!.ttlMs, 2_000)
})

for (const [name, options, message] of [
  ['tags that are a list', { tags: ['red'] }, /cache 'n': tags: needs a function that returns the tags of a value, but got: \["red"\]/],
  ['a separator of two characters', { namespaces: '::' }, /namespaces: needs a separator of one character, such as \/, but got: "::"/],
  ['an empty separator', { namespaces: '' }, /namespaces: needs a separator of one character/],
  [
    'an unknown early refresh',
    { earlyRefresh: 'always' },
    /earlyRefresh: needs 'xfetch', a number from 0 to 1, or false, but got: "always"/,
  ],
  ['an early refresh beyond the ttl', { earlyRefresh: 1.5 }, /earlyRefresh: needs .* but got: 1.5/],
  ['an early refresh that is true', { earlyRefresh: true }, /earlyRefresh: needs .* but got: true/],
  ['a sliding that is no boolean', { sliding: 'yes' }, /sliding: needs true or false, but got: "yes"/],
  ['a near cache that is just true', { near: true }, /near: needs an object of options, but got: true/],
  ['a near cache without a size', { near: {} }, /near\.maxBytes: needs a whole number ≥ 16384, but got: undefined/],
  ['a near cache too small', { near: { maxBytes: 100 } }, /near\.maxBytes: needs a whole number ≥ 16384, but got: 100/],
  ['an unknown near option', { near: { maxBytes: 65_536, size: 1 } }, /near: needs options among maxBytes, ttl, copy, but got: "size"/],
  ['a near ttl of nothing', { near: { maxBytes: 65_536, ttl: 0 } }, /near\.ttl: needs a duration of at least 1 ms, but got: 0/],
  ['a near copy that is no boolean', { near: { maxBytes: 65_536, copy: 1 } }, /near\.copy: needs true or false, but got: 1/],
  ['a negative ttl in unknown units', { negativeTtl: '1 hour' }, /negativeTtl: needs a duration.*but got: "1 hour"/],
  ['a soft deadline before now', { deadlines: { soft: -1 } }, /deadlines\.soft: needs a duration.*but got: -1/],
  ['a load deadline of nothing', { deadlines: { load: 0 } }, /deadlines\.load: needs a duration of at least 1 ms, but got: 0/],
  ['an unknown deadline', { deadlines: { hard: 1 } }, /deadlines: needs options among call, try, load, soft, but got: "hard"/],
  [
    'reads of all owners',
    { consistency: { reads: 'all' } },
    /consistency\.reads: needs one of 'primary', 'nearest', 'quorum', but got: "all"/,
  ],
  ['tags on plain values', { ...plain, tags: () => [] }, /tags: needs to be left out with keys: 'plain'/],
  ['namespaces on plain values', { ...plain, namespaces: '/' }, /namespaces: needs to be left out with keys: 'plain', but got: "\/"/],
  ['sliding on plain values', { ...plain, sliding: true }, /sliding: needs to be left out with keys: 'plain'/],
  ['a near cache on plain values', { ...plain, near: { maxBytes: 65_536 } }, /near: needs to be left out with keys: 'plain'/],
  ['an early refresh of plain values', { ...plain, earlyRefresh: 0.5 }, /earlyRefresh: needs to be left out with keys: 'plain'/],
  ['a negative ttl on plain values', { ...plain, negativeTtl: '5s' }, /negativeTtl: needs to be left out with keys: 'plain'/],
] as const) {
  test(`a cache refuses ${name}`, () => {
    assert.throws(
      () => checked(options),
      (error) => error instanceof ConfigurationError && message.test(error.message),
    )
  })
}

test('what is switched off may be said of plain values', () => {
  assert.equal(checked({ ...plain, sliding: false, earlyRefresh: false, negativeTtl: 0 }).plain, true)
})
