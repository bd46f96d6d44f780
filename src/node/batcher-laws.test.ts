import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NodeError } from '../errors.ts'
import { batcherRig } from '../testing/batcher-rig.ts'

type Step =
  | { do: 'ask'; lane: number; bytes: number; timeoutMs: number | undefined }
  | { do: 'land' | 'lose' | 'settle' }
  | { do: 'advance' | 'stall'; ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      lane: fc.nat(2),
      bytes: fc.integer({ min: 0, max: 700 }),
      timeoutMs: fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('land' as const, 'settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('advance' as const, 'stall' as const), ms: fc.integer({ min: 1, max: 40 }) }) },
)

test('whatever is asked, answered, lost and delayed: each item is told exactly once, in order, in time, within every limit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
      const limits = { maxFlights: 2, maxBatchKeys: 4, maxBatchBytes: 1_000, maxQueue: 12 }
      const b = batcherRig(limits)
      const lanes = [b.lane, b.batcher.lane<string, string>(b.send), b.batcher.lane<string, string>(b.send, { maxFlights: 1 })]
      const asked: { atMs: number; timeoutMs: number; lane: number; bytes: number }[] = []
      let stalledMs = 0
      for (const one of steps) {
        if (one.do === 'ask') {
          asked.push({ atMs: b.clock.monotonic(), timeoutMs: one.timeoutMs ?? 50, lane: one.lane, bytes: one.bytes })
          const over = one.timeoutMs === undefined ? {} : { timeoutMs: one.timeoutMs }
          b.ask(String(asked.length - 1), { lane: lanes[one.lane]!, bytes: one.bytes, ...over })
        } else if (one.do === 'land') await b.land()
        else if (one.do === 'lose' && b.flying.length > 0) b.batcher.lose(b.flying.shift()!, new NodeError('lost', 'n1'), true)
        else if (one.do === 'advance') await b.clock.advance(one.ms)
        else if (one.do === 'stall') {
          b.clock.stall(one.ms)
          stalledMs += one.ms
          await b.clock.advance(0)
        } else await b.clock.settle()
        assert.ok(b.batcher.flights <= limits.maxFlights && lanes[2]!.flights <= 1, 'flights')
        assert.ok(b.batcher.waiting <= limits.maxQueue, 'queue')
      }
      await b.clock.advance(2_000)

      assert.deepEqual(
        b.told.map(({ slot }) => slot).sort((x, y) => x - y),
        asked.map((_, slot) => slot),
      )
      assert.equal(b.batcher.unsettled, 0)
      const laneOrder = new Map<number, number>()
      for (const requests of b.sent) {
        assert.ok(requests.length <= limits.maxBatchKeys)
        const items = requests.map((request) => asked[Number(request)]!)
        assert.ok(items.length === 1 || items.reduce((sum, { bytes }) => sum + bytes, 0) <= limits.maxBatchBytes, 'bytes')
        for (const request of requests) {
          const { lane } = asked[Number(request)]!
          assert.ok(Number(request) > (laneOrder.get(lane) ?? -1), 'sent in the order of the lane, and once')
          laneOrder.set(lane, Number(request))
        }
      }
      for (const { slot, reply, error, atMs } of b.told) {
        const { timeoutMs, atMs: since } = asked[slot]!
        assert.ok(atMs <= since + timeoutMs + stalledMs * 2 + 1, `told after ${atMs - since} of ${timeoutMs} ms`)
        if (error === undefined) assert.equal(reply, `=${slot}`)
      }
    }),
    { numRuns: 300 },
  )
})
