/**
 * Changes of the ring that are asked for wrongly, or are made beside processes that are configured otherwise: nothing is left behind, and nobody
 * ends of it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaveHints, lookForHints } from '../src/cluster/hint-records.ts'
import { ConfigurationError, type RingChangeOptions } from '../src/index.ts'
import { type Process, RingFleet } from './support/ring-fleet.ts'

const CALL = { timeoutMs: 50 }
const membersOf = ({ tier }: Process): string =>
  tier
    .topology()
    .members.map(({ id }) => id)
    .join(' ')

test('options of a change are checked before anything is taken, and another operator may go on at once', async () => {
  const fleet = await RingFleet.start()
  const [a, b] = fleet.processes as [Process, Process]
  const wrong: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ['by', { by: 5 }, 'a change of the ring: by: needs a text that is not empty, but got: 5'],
    ['by', { by: '' }, 'a change of the ring: by: needs a text that is not empty, but got: ""'],
    ['signal', { signal: {} }, 'a change of the ring: signal: needs an AbortSignal, but got: {}'],
    ['onProgress', { onProgress: 'log' }, 'a change of the ring: onProgress: needs a function, but got: "log"'],
    ['rate', { rate: 0 }, 'a change of the ring: rate: needs a whole number ≥ 1, but got: 0'],
  ]
  for (const [name, options, message] of wrong) {
    for (const make of [
      (each: RingChangeOptions) => a.tier.changeRing({ remove: ['n4'] }, each),
      (each: RingChangeOptions) => a.tier.resumeRingChange(each),
      (each: RingChangeOptions) => a.tier.rollBackRingChange(each),
    ])
      await assert.rejects(fleet.until(make(options)), (thrown: Error) => {
        assert.ok(thrown instanceof ConfigurationError, `${name}: ${thrown}`)
        assert.equal(thrown.message, message)
        return true
      })
  }
  await fleet.until(b.tier.changeRing({ remove: ['n4'] }))
  assert.deepEqual([membersOf(a), membersOf(b)], ['n1 n2 n3', 'n1 n2 n3'])
  await fleet.close()
})

for (const [how, onProgress] of [
  [
    'throws',
    (): void => {
      throw new Error('no room on the page')
    },
  ],
  ['rejects', (): Promise<void> => Promise.reject(new Error('no room on the page'))],
] as const) {
  test(`a change whose onProgress ${how} is made all the same, is told of, and leaves no lock`, async () => {
    const fleet = await RingFleet.start({ nodes: 5 })
    const [a, b] = fleet.processes as [Process, Process]
    const failures: unknown[] = []
    a.tier.on('listener:failed', (payload) => failures.push(payload))
    const { epoch } = await fleet.until(a.tier.changeRing({ remove: ['n5'] }, { onProgress }))
    assert.equal(epoch, 3)
    await fleet.until(b.tier.changeRing({ remove: ['n4'] }))
    assert.deepEqual([membersOf(a), membersOf(b)], ['n1 n2 n3', 'n1 n2 n3'])
    assert.ok(failures.length > 0)
    assert.deepEqual(failures[0], { event: 'onProgress', reason: 'no room on the page' })
    await fleet.close()
  })
}

test('a process that wants more replicas than the fleet has nodes left goes on with as many as there are', async () => {
  const fleet = await RingFleet.start({ nodes: 3, tiers: 0 })
  const ids = ['n1', 'n2', 'n3']
  const three = await fleet.join(ids, undefined, { replicas: 3 })
  const operator = await fleet.join(ids, undefined, { replicas: 2 })
  await fleet.until(three.cache.set('k', 1), 0)
  await fleet.until(operator.tier.changeRing({ remove: ['n3'] }))
  await fleet.clock.advance(5_000)
  assert.equal(membersOf(three), 'n1 n2')
  assert.equal(await fleet.until(three.cache.get('k'), 0), 1)
  await fleet.until(three.cache.set('k', 2), 0)
  assert.equal(await fleet.until(operator.cache.get('k'), 0), 2)
  // One that is started then, with the list of before.
  const late = await fleet.join(ids, undefined, { replicas: 3 })
  assert.equal(membersOf(late), 'n1 n2')
  assert.equal(await fleet.until(late.cache.get('k'), 0), 2)
  // Who plans a change that leaves too few for itself is told so.
  await assert.rejects(fleet.until(three.tier.changeRing({ weights: { n1: 2 } })), ConfigurationError)
  await fleet.until(operator.tier.changeRing({ weights: { n1: 2 } }))
  await fleet.close()
})

test('a change that leaves fewer nodes than a cache is to have owners is refused before anything happens', async () => {
  const fleet = await RingFleet.start({ nodes: 3, tiers: 1, replicas: 2, cache: { replicas: 3 } })
  const [a] = fleet.processes as [Process]
  const steps: string[] = []
  const changing = a.tier.changeRing({ remove: ['n3'] }, { onProgress: ({ step }) => steps.push(step) })
  await assert.rejects(fleet.until(changing), ConfigurationError)
  assert.deepEqual([steps, a.tier.topology().epoch], [[], 0])
  await fleet.close()
})

test('the hints of a node that has left go with it', async () => {
  const fleet = await RingFleet.start({ nodes: 5, tiers: 2 })
  const [a, b] = fleet.processes as [Process, Process]
  const kept = async (missing: string) => {
    const looks = ['n1', 'n2', 'n3', 'n4'].map((id) => lookForHints(fleet.node(id), [missing], 0, CALL))
    return (await Promise.all(looks)).map(({ kept: [hints] }) => hints!.oldestUs !== undefined)
  }
  for (const each of [a, b]) each.way('n5').mishaps.down('refusing')
  for (let nth = 0; nth < 60; nth++) await fleet.until(a.cache.set(`k${nth}`, nth), 0)
  await fleet.clock.advance(1_000)
  assert.ok((await kept('n5')).includes(true))
  // Of an id that left before anybody took its hints away.
  await leaveHints(fleet.node('n1'), 'n0', ['rt:item:k0'], 0, CALL)
  await fleet.until(a.tier.changeRing({ remove: ['n5'] }))
  await fleet.clock.advance(10_000)
  assert.deepEqual(await kept('n5'), [false, false, false, false])
  assert.deepEqual(await kept('n0'), [false, false, false, false])
  await fleet.close()
})
