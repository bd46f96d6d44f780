import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { boundedClient } from './bounded-client.ts'
import type { PgClient } from './pg-client.ts'

/** @param answers by what the server does with a query, and with the end */
function rig(answers: () => Promise<{ rows: [] }>) {
  const clock = new FakeClock()
  let cuts = 0
  const client = {
    connect: async () => {},
    query: answers,
    end: async () => void (await answers()),
    on: () => {},
    connection: { stream: { destroy: () => void cuts++ } },
  } as unknown as PgClient
  return { clock, client: boundedClient(client, clock, 6_000), cuts: () => cuts }
}
const never = () => new Promise<never>(() => {})

test('a query that is not answered fails after its time, and its connection is cut', async () => {
  const { clock, client, cuts } = rig(never)
  let failed: unknown
  client.query('select 1').catch((error: unknown) => {
    failed = error
  })
  await clock.advance(5_999)
  assert.deepEqual([failed, cuts()], [undefined, 0])
  await clock.advance(1)
  assert.deepEqual([(failed as { code: string }).code, cuts(), clock.pendingTimers], ['DEADLINE_EXCEEDED', 1, 0])
})

test('an end that is not answered is cut short after a second', async () => {
  const { clock, client, cuts } = rig(never)
  let ended = false
  void client.end().then(() => {
    ended = true
  })
  await clock.advance(999)
  assert.equal(ended, false)
  await clock.advance(1)
  assert.deepEqual([ended, cuts(), clock.pendingTimers], [true, 1, 0])
})

test('what is answered leaves no timer behind, and a refusal is handed on', async () => {
  const { clock, client, cuts } = rig(async () => ({ rows: [] }))
  assert.deepEqual(await client.query('select 1'), { rows: [] })
  await client.end()
  const refused = rig(() => Promise.reject(new Error('no')))
  await assert.rejects(refused.client.query('select'), /^Error: no$/)
  assert.deepEqual([clock.pendingTimers, refused.clock.pendingTimers, cuts()], [0, 0, 0])
})
