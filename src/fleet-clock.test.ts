import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NodeError } from './errors.ts'
import type { TierEvents } from './events.ts'
import { FleetClock } from './fleet-clock.ts'
import type { CacheNode, NodeCall, Pong } from './node/node.ts'
import { FakeClock } from './testing/fake-clock.ts'

const START_MS = 1_735_689_600_000

/** A node whose clock is ahead of the true time by `aheadMs`, and to which a ping takes `thereMs` and back `backMs`. */
class TimedNode {
  readonly id: string
  aheadMs: number
  thereMs: number
  backMs: number
  down = false
  pings = 0
  readonly #clock: FakeClock

  constructor(clock: FakeClock, id: string, aheadMs = 0, thereMs = 0, backMs = 0) {
    this.#clock = clock
    this.id = id
    this.aheadMs = aheadMs
    this.thereMs = thereMs
    this.backMs = backMs
  }

  async ping(call?: NodeCall): Promise<Pong> {
    this.pings++
    if (this.down || this.thereMs + this.backMs > call!.timeoutMs!) throw new NodeError('refused', this.id)
    await this.#pass(this.thereMs)
    const timeMs = Math.floor(this.trueMs + this.aheadMs)
    await this.#pass(this.backMs)
    return { rttMs: this.thereMs + this.backMs, timeMs }
  }

  get trueMs(): number {
    return START_MS + this.#clock.monotonic()
  }

  #pass(ms: number): Promise<void> {
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => void this.#clock.after(ms, resolve))
  }
}

/** A base clock that is behind the nodes by a quarter of an hour. */
function rig(...nodes: [aheadMs: number, thereMs?: number, backMs?: number][]) {
  const base = new FakeClock(START_MS - 900_000)
  const timed = nodes.map(([aheadMs, thereMs, backMs], nth) => new TimedNode(base, `n${nth}`, aheadMs, thereMs, backMs))
  const told: TierEvents['node:misconfigured'][] = []
  const clock = new FleetClock(base, timed as unknown as CacheNode[], {
    emit: (name, payload) => {
      if (name === 'node:misconfigured') told.push(payload as TierEvents['node:misconfigured'])
    },
  })
  const start = async (): Promise<void> => {
    const starting = clock.start()
    await base.advance(500)
    await starting
  }
  return { base, nodes: timed, clock, told, start }
}

test("before it is started a fleet clock says the base clock's time", () => {
  const { base, clock } = rig([0])
  assert.equal(clock.now(), base.now())
})

test("it says the time of the nodes, whatever the process's own clock says", async () => {
  const { base, clock, start } = rig([0], [0], [0])
  await start()
  assert.equal(clock.now(), START_MS + base.monotonic())
  await base.advance(123)
  assert.equal(clock.now(), START_MS + base.monotonic())
})

test('a process whose wall clock jumps is not noticed', async () => {
  const { base, clock, start } = rig([0], [0], [0])
  await start()
  for (const jumpMs of [3_600_000, -7_200_000]) {
    base.jumpWall(jumpMs)
    assert.equal(clock.now(), START_MS + base.monotonic())
    await base.advance(5_000)
    assert.equal(clock.now(), START_MS + base.monotonic())
  }
})

test('of three nodes one that is wrong does not move it, and is told of once, and again once it was right in between', async () => {
  const { base, nodes, clock, told, start } = rig([0], [0], [86_400_000])
  await start()
  assert.equal(clock.now(), START_MS + base.monotonic())
  assert.equal(clock.deviations.get('n2'), 86_400_000)
  await base.advance(10_000)
  const reason = "its clock needs to be within 1000 ms of the nodes' median, but is 86400000 ms ahead"
  assert.deepEqual(told, [{ node: 'n2', reason }])
  nodes[2]!.aheadMs = 0
  await base.advance(2_000)
  nodes[2]!.aheadMs = -5_000
  await base.advance(2_000)
  assert.equal(told.length, 2)
})

test('what a slow ping may have added to a deviation is not held against the node', async () => {
  const { told, start } = rig([0], [0], [980, 60])
  await start()
  assert.deepEqual(told, [])
})

test('nodes that do not answer are left out, and without any the last offset stays', async () => {
  const { base, nodes, clock, start } = rig([0], [400], [400])
  await start()
  assert.equal(clock.now(), START_MS + 400 + base.monotonic())
  nodes[1]!.down = true
  nodes[2]!.down = true
  await base.advance(1_000)
  assert.equal(clock.now(), START_MS + base.monotonic())
  const { offsetMs } = clock
  nodes[0]!.down = true
  await base.advance(10_000)
  assert.equal(clock.offsetMs, offsetMs)
  nodes[0]!.down = false
  nodes[0]!.aheadMs = 77
  await base.advance(2_000)
  assert.equal(clock.now(), START_MS + 77 + base.monotonic())
})

test('slow answers count only where there is no quick one', async () => {
  const { base, nodes, clock, start } = rig([0, 200], [0, 200], [0, 10, 10])
  await start()
  assert.equal(clock.now(), START_MS + base.monotonic())
  nodes[2]!.down = true
  await base.advance(2_000)
  assert.equal(clock.now(), START_MS + 100 + base.monotonic())
})

test('of the last pings of a node the quickest counts, until eight more were made', async () => {
  const { base, nodes, clock, start } = rig([0])
  await start()
  nodes[0]!.thereMs = 40
  await base.advance(6_900)
  assert.equal(clock.now(), START_MS + base.monotonic())
  await base.advance(2_000)
  assert.equal(clock.now(), START_MS + 20 + base.monotonic())
})

test('a node whose clock is set is followed with the next ping, however quick those before were', async () => {
  const { base, nodes, clock, start } = rig([0, 1, 1])
  await start()
  nodes[0]!.aheadMs = -300
  nodes[0]!.thereMs = 40
  await base.advance(1_100)
  assert.ok(Math.abs(clock.now() - (START_MS - 300 + base.monotonic())) <= 21)
})

test('a first ping that took long, for it had to connect, is made again before the clock is used', async () => {
  const { base, nodes, clock } = rig([0, 60])
  const starting = clock.start()
  nodes[0]!.thereMs = 1
  await base.advance(61)
  await starting
  assert.equal(nodes[0]!.pings, 2)
  assert.ok(Math.abs(clock.now() - (START_MS + base.monotonic())) <= 1)
})

test('it is set right every second, and a stopped one leaves no timer and asks no more', async () => {
  const { base, nodes, clock, start } = rig([0])
  await start()
  await base.advance(3_000)
  assert.equal(nodes[0]!.pings, 4)
  clock.stop()
  assert.equal(base.pendingTimers, 0)
  await base.advance(5_000)
  assert.equal(nodes[0]!.pings, 4)
})

test('a clock that is stopped while it measures does not begin again, and one started twice measures once a second', async () => {
  const { base, nodes, clock } = rig([0, 0, 20])
  const stopped = clock.start()
  clock.stop()
  await base.advance(500)
  await stopped
  assert.equal(base.pendingTimers, 0)
  const starts = [clock.start(), clock.start()]
  await base.advance(500)
  await Promise.all(starts)
  const before = nodes[0]!.pings
  await base.advance(10_200)
  assert.equal(nodes[0]!.pings - before, 10)
})

test('durations and timers are the base clock’s', async () => {
  const { base, clock } = rig([0])
  const ran: string[] = []
  clock.after(10, () => ran.push('after'))
  clock.soon(() => ran.push('soon'))
  await base.advance(10)
  assert.deepEqual(ran, ['soon', 'after'])
  assert.equal(clock.monotonic(), base.monotonic())
})

test('a clock without nodes is carried on by the monotonic clock alone', async () => {
  const { base, clock, start } = rig()
  await start()
  base.jumpWall(1_000)
  assert.equal(clock.now(), base.now() - 1_000)
})

test('its error is at most half a round trip, a cut millisecond and what most nodes are off by', async () => {
  const node = fc.record({
    aheadMs: fc.double({ min: -40, max: 40, noNaN: true }),
    thereMs: fc.integer({ min: 0, max: 50 }),
    backMs: fc.integer({ min: 0, max: 50 }),
  })
  const wrong = fc.record({
    aheadMs: fc.integer({ min: -100_000_000, max: 100_000_000 }),
    thereMs: fc.nat({ max: 50 }),
    backMs: fc.nat({ max: 50 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(node, { minLength: 2, maxLength: 5 }), fc.option(wrong), async (sound, faulty) => {
      // One that is wrong among at least two that are right.
      const all = faulty === null ? sound : [...sound, faulty]
      const { base, clock, start } = rig(...all.map(({ aheadMs, thereMs, backMs }): [number, number, number] => [aheadMs, thereMs, backMs]))
      await start()
      const halfTripMs = Math.max(...sound.map(({ thereMs, backMs }) => (thereMs + backMs) / 2))
      const offMs = Math.max(...sound.map(({ aheadMs }) => Math.abs(aheadMs)))
      assert.ok(Math.abs(clock.now() - (START_MS + base.monotonic())) <= halfTripMs + offMs + 1)
    }),
    { numRuns: 200 },
  )
})
