import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { ClosedError, OverloadError } from '../errors.ts'
import { Outcomes } from '../metrics/outcomes.ts'
import type { Read, Settled, Strategy } from '../strategy/strategy.ts'
import { Cache } from './cache.ts'

const nothing: Read<number> = { state: 'missing', negative: false, value: undefined, node: undefined, entry: undefined, sizeBytes: 0 }

function admission(closed: boolean, ended = false) {
  const error = (what: string) => (ended ? new ClosedError(`${what}: closed`) : new OverloadError(`${what}: behind`))
  const admitting = { calls: 0, closed, full: false, ended, refusal: error, over: () => void admitting.calls-- }
  return admitting
}

test('while no calls are taken reads and changes fail at once, are counted, and reach nothing', async () => {
  const admitting = admission(true)
  const strategy = new Proxy({ name: 'none', storeCounts: () => undefined } as unknown as Strategy<number>, {
    get: (target, name) => Reflect.get(target, name) ?? assert.fail(`asked for ${String(name)}`),
  })
  const cache = new Cache<number>({ name: 'a', strategy, outcomes: new Outcomes(), clock: systemClock, admitting })
  const refused = { code: 'OVERLOADED', message: "cache 'a': behind" }
  await assert.rejects(cache.get('k'), refused)
  await assert.rejects(cache.getWithOutcome('k'), refused)
  await assert.rejects(cache.getMany(['k', 'l']), refused)
  await assert.rejects(cache.set('k', 1), refused)
  await assert.rejects(
    cache.update('k', () => 1),
    refused,
  )
  await assert.rejects(cache.delete('k'), refused)
  assert.equal((await cache.setMany([['k', 1]])).get('k')?.ok, false)
  const { errors, failedWrites } = cache.metrics()
  assert.deepEqual([errors, failedWrites], [4, 4])
})

test('a process with all the calls that it may have takes none, of those either that one which is behind takes', async () => {
  const admitting = { ...admission(true), full: true }
  const strategy = { name: 'none', storeCounts: () => undefined } as unknown as Strategy<number>
  const cache = new Cache<number>({ name: 'a', strategy, outcomes: new Outcomes(), clock: systemClock, admitting })
  const refused = { code: 'OVERLOADED' }
  await assert.rejects(cache.refresh('k'), refused)
  await assert.rejects(cache.touch('k'), refused)
  await assert.rejects(cache.applyChanges([]), refused)
  assert.equal(admitting.calls, 0)
})

test('who tries again at once when refused does not keep the event loop from going on', async () => {
  const admitting = admission(true)
  const strategy = { name: 'none', storeCounts: () => undefined } as unknown as Strategy<number>
  const cache = new Cache<number>({ name: 'a', strategy, outcomes: new Outcomes(), clock: systemClock, admitting })
  let tries = 0
  setImmediate(() => {
    admitting.closed = false
  })
  for (let caught = true; caught && tries < 1_000; tries++) {
    caught = false
    await cache.set('k', 1).catch(({ code }) => {
      caught = code === 'OVERLOADED' && admitting.closed
    })
  }
  assert.ok(tries < 10, `${tries} tries within a turn`)
})

test('calls under way are counted once each, however many keys they are of and however they end', async () => {
  const held: ((settled: readonly Settled<Read<number>>[]) => void)[] = []
  const strategy = {
    name: 'none',
    storeCounts: () => undefined,
    readMany: () => new Promise((resolve) => held.push(resolve)),
    read: (_: string, settle: (read: Read<number>) => void, fail: (error: Error) => void) =>
      held.push(() => (held.length > 2 ? fail(new Error('x')) : settle(nothing))),
  } as unknown as Strategy<number>
  const admitting = admission(false)
  const cache = new Cache<number>({ name: 'a', strategy, outcomes: new Outcomes(), clock: systemClock, admitting })
  const reads = [cache.getMany(['a', 'b', 'c']), cache.get('a'), cache.get('b')].map((read) => read.catch(() => {}))
  assert.equal(admitting.calls, 3)
  held[0]!([{ value: nothing }, { value: nothing }, { value: nothing }])
  held[1]!([])
  held[2]!([])
  await Promise.all(reads)
  assert.equal(admitting.calls, 0)
})
