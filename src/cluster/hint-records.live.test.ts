import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode } from '../node/node.ts'
import { adminOf, connected, LIVE, server } from '../testing/live-redis.ts'
import { leaveAnything, leaveHints, listHints, lookForHints, MAX_HINTS, takeHintsAway } from './hint-records.ts'

const CALL = { timeoutMs: 5_000 }
/** For nodes that have no time of their own. */
let nowUs = 1_000_000
const next = (): number => {
  nowUs += 1_000
  return nowUs
}

const kinds: readonly (readonly [string, (t: TestContext) => Promise<CacheNode>])[] = [
  ['a memory node', async () => memoryNode({ id: 'm', maxBytes: 64 * 1024 * 1024 })],
  ['a Redis node', async (t) => (await connected(t, (await server(t)).url)).node],
]

for (const [name, create] of kinds) {
  describe(`hints on ${name}`, () => {
    test('are listed the oldest first, each key once with its latest moment, and of each node alone', LIVE, async (t) => {
      const node = await create(t)
      await leaveHints(node, 'a', ['x', 'y'], next(), CALL)
      await leaveHints(node, 'b', ['z'], next(), CALL)
      await leaveHints(node, 'a', ['x'], next(), CALL)
      assert.deepEqual(
        (await listHints(node, 'a', 10, CALL)).map(({ key }) => key),
        ['y', 'x'],
      )
      assert.deepEqual(
        (await listHints(node, 'a', 1, CALL)).map(({ key }) => key),
        ['y'],
      )
      const { nowUs: toldUs, kept } = await lookForHints(node, ['a', 'b', 'c'], next(), CALL)
      assert.deepEqual(
        kept.map(({ oldestUs, anything }) => [oldestUs !== undefined && oldestUs <= toldUs, anything]),
        [
          [true, false],
          [true, false],
          [false, false],
        ],
      )
    })

    test('are taken away as they were seen: what was left again since stays', LIVE, async (t) => {
      const node = await create(t)
      await leaveHints(node, 'a', ['x', 'y'], next(), CALL)
      const seen = await listHints(node, 'a', 10, CALL)
      await leaveHints(node, 'a', ['x'], next(), CALL)
      await takeHintsAway(node, 'a', seen, CALL)
      const left = await listHints(node, 'a', 10, CALL)
      assert.deepEqual(
        left.map(({ key }) => key),
        ['x'],
      )
      await takeHintsAway(node, 'a', left, CALL)
      assert.equal((await lookForHints(node, ['a'], next(), CALL)).kept[0]!.oldestUs, undefined)
    })

    test(
      'give way to one that says anything, which hides what comes later, when there are too many, and when it is said so',
      LIVE,
      async (t) => {
        const node = await create(t)
        await leaveHints(
          node,
          'a',
          Array.from({ length: 6_000 }, (_, nth) => `k${nth}`),
          next(),
          CALL,
        )
        await leaveAnything(node, 'a', next(), CALL)
        await leaveHints(node, 'a', ['x'], next(), CALL)
        const [kept] = (await lookForHints(node, ['a'], next(), CALL)).kept
        assert.equal(kept!.anything, true)
        await takeHintsAway(node, 'a', [{ key: '', leftUs: kept!.oldestUs! }], CALL)
        assert.deepEqual((await lookForHints(node, ['a'], next(), CALL)).kept, [{ oldestUs: undefined, anything: false }])
      },
    )
  })
}

test('a Redis node keeps as many as it may, and not one more', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const admin = adminOf(t, redis)
  const left = async (from: number, count: number): Promise<void> => {
    const keys = Array.from({ length: count }, (_, nth) => `k${from + nth}`)
    for (let at = 0; at < count; at += 5_000) await leaveHints(node, 'a', keys.slice(at, at + 5_000), 0, CALL)
  }
  await left(0, MAX_HINTS)
  assert.equal(await admin.zcard('rt:!hints:a'), MAX_HINTS)
  await left(MAX_HINTS, 1)
  assert.equal(await admin.zcard('rt:!hints:a'), 1)
  assert.equal((await lookForHints(node, ['a'], 0, CALL)).kept[0]!.anything, true)
})
