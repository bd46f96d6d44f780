import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { type Keepable, NEAR_OVERHEAD_BYTES, NearCache, type NearParts, type Reading } from './near-cache.ts'

const MINUTE = 60_000

function rig(parts: Partial<Omit<NearParts, 'clock'>> = {}) {
  const clock = new FakeClock()
  const near = new NearCache<unknown>({ maxBytes: 1_000_000, ttlMs: MINUTE, copy: false, ...parts, clock })
  const entry = (value: unknown, more: Partial<Keepable<unknown>> = {}): Keepable<unknown> => ({
    value,
    version: 1n,
    begun: 7,
    tags: ['a'],
    freshUntilMs: clock.now() + 10 * MINUTE,
    negative: false,
    sizeBytes: 100,
    ...more,
  })
  const keep = (key: string, value: unknown, more?: Partial<Keepable<unknown>>) => near.keep(key, near.reading(), entry(value, more))
  return { clock, near, entry, keep }
}

describe('what is kept', () => {
  test('is returned with all that belongs to it', () => {
    const { near, keep, clock } = rig()
    assert.equal(keep('k', { price: 1 }), true)
    const found = near.get('k')!
    assert.deepEqual(found.value(), { price: 1 })
    const { version, begun, tags, freshUntilMs, negative, sizeBytes } = found
    assert.deepEqual(
      { version, begun, tags, freshUntilMs, negative, sizeBytes },
      {
        version: 1n,
        begun: 7,
        tags: ['a'],
        freshUntilMs: clock.now() + 10 * MINUTE,
        negative: false,
        sizeBytes: 101 + NEAR_OVERHEAD_BYTES,
      },
    )
    assert.equal(near.get('other'), undefined)
  })

  test('may be an absence', () => {
    const { near, keep } = rig()
    keep('k', undefined, { negative: true, version: 0n })
    assert.equal(near.get('k')?.negative, true)
    assert.equal(near.get('k')?.value(), undefined)
  })

  test('is the value itself, frozen through', () => {
    const { near, keep } = rig()
    const value = { lines: [{ sku: 'x' }] }
    keep('k', value)
    assert.equal(near.get('k')?.value(), value)
    assert.throws(() => value.lines.push({ sku: 'y' }), TypeError)
  })

  test('with copy is a copy for each reader, and the value given stays its giver’s', () => {
    const { near, keep } = rig({ copy: true })
    const value = { lines: [{ sku: 'x' }] }
    keep('k', value)
    value.lines[0]!.sku = 'changed'
    const first = near.get('k')!.value() as typeof value
    first.lines.push({ sku: 'mine' })
    assert.deepEqual(near.get('k')!.value(), { lines: [{ sku: 'x' }] })
  })

  test('that cannot be frozen is a copy for each reader', () => {
    const { near, keep } = rig()
    keep('k', Buffer.from('abc'))
    const first = near.get('k')!.value() as Buffer
    first[0] = 0
    assert.deepEqual(near.get('k')!.value(), Buffer.from('abc'))
  })

  test('is no value that can be neither frozen nor copied', () => {
    const { near, keep } = rig()
    assert.equal(keep('k', { of: () => 1 }), false)
    assert.equal(near.get('k'), undefined)
    assert.equal(near.stats().refused, 1)
  })

  test('is never older than what is held', () => {
    const { near, keep } = rig()
    keep('k', 'new', { version: 9n })
    assert.equal(keep('k', 'old', { version: 8n }), false)
    assert.equal(keep('k', 'new, fresh for longer', { version: 9n }), true)
    assert.equal(near.get('k')?.value(), 'new, fresh for longer')
    near.drop('k')
    assert.equal(keep('k', 'old', { version: 8n }), true)
  })
})

describe('time', () => {
  test('an entry lives for the near ttl at most', () => {
    const { near, keep, clock } = rig({ ttlMs: 1_000 })
    keep('k', 1)
    clock.stall(999)
    assert.equal(near.get('k')?.value(), 1)
    clock.stall(1)
    assert.equal(near.get('k'), undefined)
    assert.deepEqual([near.stats().entries, near.stats().bytes, near.stats().expired], [0, 0, 1])
  })

  test('an entry lives no longer than it is fresh', () => {
    const { near, keep, clock } = rig()
    keep('k', 1, { freshUntilMs: clock.now() + 500 })
    clock.stall(499)
    assert.equal(near.get('k')?.value(), 1)
    clock.stall(1)
    assert.equal(near.get('k'), undefined)
  })

  test('what is no longer fresh is not kept', () => {
    const { keep, clock } = rig()
    assert.equal(keep('k', 1, { freshUntilMs: clock.now() }), false)
  })

  test('a wall clock set back prolongs nothing', () => {
    const { near, keep, clock } = rig({ ttlMs: 1_000 })
    keep('k', 1)
    clock.jumpWall(-3_600_000)
    clock.stall(1_000)
    assert.equal(near.get('k'), undefined)
  })

  test('what nobody asks for any more is swept out by what comes', () => {
    const { near, keep, clock } = rig({ ttlMs: 1_000 })
    for (let i = 0; i < 100; i++) keep(`dead-${i}`, i)
    clock.stall(1_000)
    for (let i = 0; i < 200; i++) keep(`live-${i}`, i)
    assert.equal(near.stats().expired, 100)
    assert.equal(near.stats().entries, 200)
  })
})

describe('invalidation', () => {
  test('a dropped key is gone, and what was being read of it is not kept', () => {
    const { near, keep, entry } = rig()
    keep('k', 'before')
    const reading = near.reading()
    near.drop('k')
    assert.equal(near.get('k'), undefined)
    assert.equal(near.keep('k', reading, entry('before')), false)
    assert.equal(near.keep('k', near.reading(), entry('after')), true)
    assert.equal(near.get('k')?.value(), 'after')
    assert.deepEqual([near.stats().dropped, near.stats().overtaken], [1, 1])
  })

  test('the reads of other keys are kept', () => {
    const { near, entry } = rig()
    const reading = near.reading()
    near.drop('k')
    assert.equal(near.keep('other', reading, entry(1)), true)
  })

  test('after clear nothing is there, and nothing that was being read is kept', () => {
    const { near, keep, entry } = rig()
    for (let i = 0; i < 50; i++) keep(`k${i}`, i)
    const reading = near.reading()
    near.clear()
    for (let i = 0; i < 50; i++) assert.equal(near.get(`k${i}`), undefined)
    assert.equal(near.keep('k1', reading, entry(1)), false)
    assert.deepEqual([near.stats().entries, near.stats().bytes, near.stats().cleared], [0, 0, 1])
    assert.equal(keep('k1', 'after'), true)
  })

  test('law: after a drop or a clear no value is returned whose reading began before it', () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const step = fc.oneof(
      fc.record({ do: fc.constant('read' as const), key }),
      fc.record({ do: fc.constant('keep' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('drop' as const), key }),
      fc.record({ do: fc.constant('clear' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { near, entry } = rig()
        const reads: { key: string; reading: Reading; began: number }[] = []
        const dropped = new Map<string, number>()
        for (const [at, each] of steps.entries()) {
          if (each.do === 'read') reads.push({ key: each.key, reading: near.reading(), began: at })
          else if (each.do === 'drop') dropped.set(each.key, at)
          else if (each.do === 'clear') for (const one of ['a', 'b', 'c']) dropped.set(one, at)
          if (each.do === 'drop') near.drop(each.key)
          else if (each.do === 'clear') near.clear()
          else if (each.do === 'keep' && reads.length > 0) {
            const read = reads[each.which % reads.length]!
            near.keep(read.key, read.reading, entry(read.began))
          }
          for (const one of ['a', 'b', 'c']) {
            const began = near.get(one)?.value() as number | undefined
            if (began !== undefined) assert.ok(began > (dropped.get(one) ?? -1), `${one}: read at ${began}, dropped at ${dropped.get(one)}`)
          }
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('few readings that nothing overtook are given up', () => {
    const { near, entry } = rig()
    let given = 0
    for (let i = 0; i < 1_000; i++) {
      const reading = near.reading()
      for (let drop = 0; drop < 50; drop++) near.drop(`other-${i}-${drop}`)
      if (!near.keep(`k${i}`, reading, entry(i))) given++
    }
    assert.ok(given < 20, `${given} of 1,000`)
  })
})

describe('the bound', () => {
  test('law: the bytes are those of the entries, and never above the bound', () => {
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
    const step = fc.record({
      do: fc.constantFrom('keep', 'keep', 'keep', 'get', 'drop'),
      key: fc.constantFrom(...keys),
      size: fc.nat(1_500),
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 5_000, max: 14_000 }),
        fc.array(step, { minLength: 100, maxLength: 300, size: 'max' }),
        (maxBytes, steps) => {
          const { near, keep } = rig({ maxBytes })
          for (const each of steps) {
            if (each.do === 'keep') keep(each.key, each.size, { sizeBytes: each.size })
            else if (each.do === 'get') near.get(each.key)
            else near.drop(each.key)
            const { bytes, entries } = near.stats()
            const held = keys.map((key) => near.get(key)).filter((found) => found !== undefined)
            assert.ok(bytes <= maxBytes)
            assert.equal(
              bytes,
              held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
            )
            assert.equal(entries, held.length)
          }
        },
      ),
    )
  })

  test('an entry larger than an eighth of the whole is not kept, and displaces nothing', () => {
    const { near, keep } = rig({ maxBytes: 80_000 })
    keep('k', 1)
    assert.equal(keep('huge', 1, { sizeBytes: 10_000 }), false)
    assert.equal(keep('large', 1, { sizeBytes: 10_000 - NEAR_OVERHEAD_BYTES - 'large'.length }), true)
    assert.equal(near.get('k')?.value(), 1)
  })

  test('a scan of ten times the size leaves nine tenths of what is read all day', () => {
    const each = 100 + NEAR_OVERHEAD_BYTES + 8
    const { near, keep } = rig({ maxBytes: 1_000 * each })
    const random = seededRandom(1)
    const hot = Array.from({ length: 850 }, (_, i) => `hot-${String(i).padStart(4, '0')}`)
    for (let round = 0; round < 8_500; round++) {
      const key = hot[Math.floor(random() * hot.length)]!
      if (near.get(key) === undefined) keep(key, round)
    }
    for (let i = 0; i < 10_000; i++) keep(`s-${String(i).padStart(6, '0')}`, i)
    const left = hot.filter((key) => near.get(key) !== undefined).length
    assert.ok(left >= 765, `${left} of 850`)
  })
})
