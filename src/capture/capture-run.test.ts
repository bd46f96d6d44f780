import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventName } from '../events.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { checkedCapture } from './capture-options.ts'
import { CaptureRun, type Follow } from './capture-run.ts'

function rig(follow: Follow) {
  const clock = new FakeClock()
  const cache = { name: 'items', applyChanges: async () => new Map(), deleteByTag: async () => {}, clear: async () => {} }
  const told: { readonly name: EventName; readonly lagMs?: number }[] = []
  const emit = (name: EventName, payload: { readonly lagMs?: number }) => void told.push({ name, ...('lagMs' in payload && payload) })
  const options = checkedCapture({ database: 'postgres://db/shop', tables: [{ table: 'items', cache }], laggingAfter: '2s' })
  const run = new CaptureRun(options, { clock, random: seededRandom(5), emit: emit as never, isCutOff: () => false }, follow)
  return { run, clock, told, lagging: () => told.filter(({ name }) => name === 'capture:lagging').length }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('the lag counts from the last moment up to which all is told, also when the database is not reached any more', async () => {
  let reachable = true
  const { run, clock, lagging } = rig(async (following) => {
    if (!reachable) throw new Error('nobody answers')
    following.progress.restart()
    following.following('0/1')
    following.progress.reach(10n)
    following.progress.probe(10n, following.parts.clock.monotonic())
    await following.pause(300)
    reachable = false
  })
  await turn()
  assert.equal(run.stats().lagMs, 0)
  await clock.advance(200)
  assert.equal(run.stats().lagMs, 200)
  await clock.advance(1_500)
  const { state, lagMs } = run.stats()
  assert.deepEqual([state, lagMs, lagging()], ['connecting', 1_700, 0])
  await clock.advance(1_000)
  assert.deepEqual([run.stats().lagMs, lagging()], [2_700, 1])
  await clock.advance(10_000)
  assert.equal(lagging(), 1)
  await run.close()
})

test('a follower that does not get anywhere says that it lags, though it cannot say by how much', async () => {
  const { run, clock, lagging } = rig(async (following) => {
    following.following('0/1')
    following.progress.probe(10n, following.parts.clock.monotonic())
    await following.pause(60_000)
  })
  await clock.advance(2_600)
  assert.deepEqual([run.stats().lagMs, lagging()], [undefined, 1])
  await run.close()
})

test('what fails because it is being closed is no failure to tell of', async () => {
  const { run, told } = rig(async (following) => {
    while (!following.closed) await following.pause(1_000)
    following.failed(new Error('the tier is closed'))
  })
  await turn()
  await run.close()
  assert.deepEqual(told, [])
})

test('who waits for another says nothing of a lag', async () => {
  const { run, clock, lagging } = rig(async (following) => {
    await following.placeTaken({ standBy: async () => {}, isFree: async () => false, take: async () => false })
  })
  await clock.advance(30_000)
  assert.deepEqual([run.stats().state, run.stats().lagMs, lagging()], ['waiting', undefined, 0])
  await run.close()
})
