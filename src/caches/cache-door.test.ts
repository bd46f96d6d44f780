import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverloadError } from '../errors.ts'
import { Outcomes } from '../metrics/outcomes.ts'
import type { Strategy } from '../strategy/strategy.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { Cache } from './cache.ts'

test('while no calls are taken reads and changes fail at once, are counted, and reach nothing', async () => {
  const admitting = { closed: true, refusal: (what: string) => new OverloadError(`${what}: behind`) }
  const strategy = new Proxy({ name: 'none', storeCounts: () => undefined } as unknown as Strategy<number>, {
    get: (target, name) => Reflect.get(target, name) ?? assert.fail(`asked for ${String(name)}`),
  })
  const cache = new Cache<number>({ name: 'a', strategy, outcomes: new Outcomes(), clock: new FakeClock(), admitting })
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
