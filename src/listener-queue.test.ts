import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deliveries, ListenerQueue } from './listener-queue.ts'
import { FakeClock } from './testing/fake-clock.ts'

/** `soon` by hand, and time that a listener takes. */
class Turns {
  readonly soonTasks: (() => void)[] = []
  nowMs = 0
  soon(task: () => void): void {
    this.soonTasks.push(task)
  }
  monotonic(): number {
    return this.nowMs
  }
  turn(): void {
    for (const task of this.soonTasks.splice(0)) task()
  }
}

interface Rig {
  readonly listener?: (item: string) => unknown
  readonly max?: number
  readonly deliveries?: Deliveries
}

function rig({ listener, max, deliveries }: Rig = {}) {
  const clock = new Turns()
  const told: string[] = []
  const failures: string[] = []
  const queue = new ListenerQueue<string>({
    deliveries: deliveries ?? new Deliveries(clock),
    listener: (item) => {
      told.push(item)
      return listener?.(item)
    },
    failed: (item, thrown) => void failures.push(`${item}: ${String(thrown)}`),
    overflowed: (dropped) => `${dropped} dropped`,
    max,
  })
  const push = (...items: string[]): void => {
    for (const item of items) queue.push(item, item)
  }
  return { clock, told, failures, queue, push }
}

test('a listener is never called within the push, and what waits already is not put in again', () => {
  const { clock, told, push } = rig()
  push('a', 'b', 'a')
  assert.deepEqual(told, [])
  clock.turn()
  assert.deepEqual(told, ['a', 'b'])
  push('a')
  clock.turn()
  assert.deepEqual(told, ['a', 'b', 'a'])
})

test('a turn calls each listener in its turn, 64 calls at most', () => {
  const clock = new Turns()
  const deliveries = new Deliveries(clock)
  const [one, other] = [rig({ deliveries }), rig({ deliveries })]
  for (let nth = 0; nth < 100; nth++) one.push(`a${nth}`)
  other.push('b0', 'b1')
  clock.turn()
  assert.deepEqual([one.told.length, other.told.length], [62, 2])
  clock.turn()
  assert.equal(one.told.length, 100)
  assert.equal(clock.soonTasks.length, 0)
})

test('a listener that blocks is the only one called in its turn', () => {
  const clock = new Turns()
  const deliveries = new Deliveries(clock)
  const slow = rig({
    deliveries,
    listener: () => {
      clock.nowMs += 50
    },
  })
  slow.push('a', 'b', 'c')
  for (const told of [1, 2, 3]) {
    clock.turn()
    assert.equal(slow.told.length, told)
  }
})

test('a full queue is emptied, and the listener told how many it was not told of', () => {
  const { clock, told, push } = rig({ max: 3 })
  push('a', 'b', 'c', 'd', 'e', 'f', 'g')
  clock.turn()
  // a to d first, then e, f and g, before the listener was told of those.
  assert.deepEqual(told, ['7 dropped'])
  push('h')
  clock.turn()
  assert.equal(told.at(-1), 'h')
  push('a', 'b', 'c', 'd')
  clock.turn()
  assert.equal(told.at(-1), '4 dropped')
})

test('what waits already takes no room in a queue that is full', () => {
  const { clock, told, push } = rig({ max: 2 })
  push('a', 'b', 'a', 'b')
  clock.turn()
  assert.deepEqual(told, ['a', 'b'])
})

test('while what a listener returned has not settled it is not called, and its queue is bounded all the same', async () => {
  const gates: PromiseWithResolvers<void>[] = []
  const { clock, told, failures, push } = rig({
    max: 2,
    listener: () => {
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      return gate.promise
    },
  })
  push('a', 'b')
  clock.turn()
  assert.deepEqual(told, ['a'])
  push('b', 'c', 'd')
  assert.equal(clock.soonTasks.length, 0)
  gates[0]!.reject(new Error('mine'))
  await new FakeClock().settle()
  clock.turn()
  assert.deepEqual(told, ['a', '3 dropped'])
  assert.deepEqual(failures, ['a: Error: mine'])
})

test('a listener that changes what it is told of while it is called is still called one at a time', async () => {
  let running = 0
  let most = 0
  const gates: PromiseWithResolvers<void>[] = []
  const { clock, told, push } = rig({
    listener: async (item) => {
      most = Math.max(most, ++running)
      if (item === 'a') push('b', 'c')
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      await gate.promise
      running--
    },
  })
  push('a')
  for (let turn = 0; turn < 3; turn++) clock.turn()
  assert.deepEqual([told, most], [['a'], 1])
  for (let nth = 0; nth < 3; nth++) {
    gates[nth]!.resolve()
    await new FakeClock().settle()
    clock.turn()
  }
  assert.deepEqual([told, most], [['a', 'b', 'c'], 1])
})

test('a listener that throws is told of, and called again', () => {
  const { clock, told, failures, push } = rig({
    listener: (item) => {
      if (item === 'a') throw new Error('mine')
    },
  })
  push('a', 'b')
  clock.turn()
  assert.deepEqual(told, ['a', 'b'])
  assert.deepEqual(failures, ['a: Error: mine'])
})

test('a listener that was stopped is not called with what waited', () => {
  const { clock, told, queue, push } = rig()
  push('a')
  queue.stop()
  push('b')
  clock.turn()
  assert.deepEqual(told, [])
})
