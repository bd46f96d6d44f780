import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { Admission } from './admission.ts'

let clock: FakeClock
let told: string[]
let admission: Admission
beforeEach(() => {
  clock = new FakeClock()
  told = []
  admission = new Admission({ clock, changed: (state) => told.push(state) })
  admission.start()
})

/** Turns of the loop that take so long each. */
async function turns(count: number, ms: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    clock.stall(ms)
    await clock.advance(0)
  }
}

test('a process that falls behind with many calls under way refuses more, and takes them again when it has caught up', async () => {
  admission.calls = 5_000
  await clock.advance(250)
  await turns(2, 100)
  assert.equal(admission.closed, false)
  await turns(1, 100)
  assert.equal(admission.closed, true)
  assert.equal(admission.isBehind, true)
  assert.match(admission.refusal("cache 'a'").message, /^cache 'a': this process is 80 ms behind with 5000 calls under way$/)
  assert.deepEqual(told, ['overloaded'])
  await clock.advance(20)
  assert.equal(admission.closed, false, 'one look in time is enough')
  await turns(1, 100)
  assert.equal(admission.closed, true, 'and one late look, while it is behind')
  await turns(1, 10)
  admission.calls = 10
  await clock.advance(1_100)
  assert.deepEqual([admission.closed, admission.isBehind], [false, false])
  assert.deepEqual(told, ['overloaded', 'relieved'])
})

test('a long turn now and then, and long turns with little under way, refuse nobody', async () => {
  admission.calls = 5_000
  await clock.advance(250)
  for (let nth = 0; nth < 10; nth++) {
    await turns(1, 400)
    assert.equal(admission.closed, false)
    await clock.advance(100)
  }
  admission.calls = 100
  await turns(20, 400)
  assert.equal(admission.closed, false)
  assert.deepEqual(told, [])
})

test('once the tier is closed no call is taken, also when the process has caught up, and the end of the last one is told', async () => {
  admission.calls = 2
  await clock.advance(250)
  let isOver = false
  const closed = admission.close().then(() => {
    isOver = true
  })
  assert.deepEqual([admission.closed, admission.ended, clock.pendingTimers], [true, true, 0])
  assert.deepEqual(
    [admission.refusal("cache 'a'").code, admission.refusal("cache 'a'").message],
    ['CLOSED', "cache 'a': the tier is closed"],
  )
  admission.over()
  await clock.settle()
  assert.equal(isOver, false)
  admission.over()
  await closed
  await admission.close()
  assert.equal(admission.closed, true)
})

test('nothing is timed often while little is under way, nor at all once it is closed', async () => {
  admission.calls = 10
  const before = clock.pendingTimers
  await clock.advance(10_000)
  assert.equal(clock.pendingTimers, before)
  void admission.close()
  assert.equal(clock.pendingTimers, 0)
})

test('as many calls as may be under way, late or not: one more is refused, which is told, and taken again when one is over', async () => {
  admission.calls = 131_071
  await clock.advance(300)
  assert.deepEqual([admission.closed, admission.full, told], [false, false, []])
  admission.calls++
  assert.deepEqual([admission.closed, admission.full], [true, true])
  assert.match(admission.refusal("cache 'a'").message, /^cache 'a': needs fewer than 131072 calls under way, but got: one more$/)
  admission.over()
  assert.deepEqual([admission.closed, admission.full], [false, false])
  await clock.advance(20)
  assert.deepEqual(told, ['overloaded'])
  assert.equal(admission.isBehind, false, 'a process that is full answers as soon as ever')
  await clock.advance(1_000)
  assert.deepEqual(told, ['overloaded', 'relieved'])
})
