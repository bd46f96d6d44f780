import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../clock.ts'
import { ClosedError, ConfigurationError, DeadlineError, NodeError } from '../errors.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { Script, Status } from '../node/node.ts'
import { FakeClock } from './fake-clock.ts'
import { type FlakyNode, flakyNode } from './flaky-node.ts'
import { Told } from './live-redis.ts'
import type { FlakyOptions, Mishap } from './mishap.ts'
import { nodeConformance } from './node-conformance.ts'
import { changed, envelope, got, Heard, put } from './node-subject.ts'

const remaining: Script = {
  name: 'remaining',
  lua: '',
  local: (entries, keys) => entries.ttlMs(keys[0]!) ?? null,
}

const ROUNDABOUT: Mishap = { lateMs: 0.01 }

for (const [name, options] of [
  ['a flaky node without mishaps', {}],
  ['a flaky node whose answers come a little late', { script: () => ROUNDABOUT, timeout: '10s', clock: systemClock }],
] as const) {
  nodeConformance({
    name,
    create: async () => {
      const clock = new FakeClock(systemClock.now())
      const node = flakyNode(memoryNode({ id: 'memory' }), options)
      await node.connect({ clock })
      return {
        node,
        ttlMs: async (key) => ((await node.run(remaining, [key], [])) as number | null) ?? undefined,
        pass: (ms) => clock.advance(ms),
        cleanup: () => node.close(),
      }
    },
  })
}

async function flaky(options: FlakyOptions = {}): Promise<{ node: FlakyNode; clock: FakeClock; told: Told }> {
  const clock = new FakeClock(systemClock.now())
  const told = new Told()
  const node = flakyNode(memoryNode({ id: 'a' }), options)
  await node.connect({ clock, emit: told.emit })
  return { node, clock, told }
}

/** What a promise has come to by now: its answer, its error, or nothing. */
function watched(promise: Promise<unknown>): () => unknown {
  let now: unknown = 'pending'
  promise.then(
    (answer) => {
      now = answer
    },
    (error: Error) => {
      now = error
    },
  )
  return () => now
}

const state = (status: Status | undefined): string => status?.state ?? 'none'

describe('a flaky node', () => {
  test('fails a call without doing it, and says so', async () => {
    const { node } = await flaky()
    node.mishaps.next('fail')
    const status = await changed(node, put('k', envelope(1n)))
    assert.ok(status.state === 'failed' && status.error instanceof NodeError && status.error.outcome === 'failed')
    assert.equal(await got(node, 'k'), undefined)
  })

  test('loses an answer after the change was applied, and the outcome is unknown', async () => {
    const { node } = await flaky()
    node.mishaps.next('lose-answer', 'lose-answer')
    const [one, two] = await node.apply([put('k', envelope(1n)), put('l', envelope(1n))])
    assert.deepEqual([state(one), state(two)], ['unknown', 'unknown'])
    assert.equal(state(await changed(node, put('m', envelope(1n)))), 'unknown')
    for (const key of ['k', 'l', 'm']) assert.deepEqual(await got(node, key), envelope(1n))
  })

  test('loses a call before it was done, and the outcome is as unknown', async () => {
    const { node } = await flaky()
    node.mishaps.next('lose-call')
    const status = await changed(node, put('k', envelope(1n)))
    assert.ok(status.state === 'unknown' && status.error instanceof NodeError && status.error.outcome === 'unknown')
    assert.equal(await got(node, 'k'), undefined)
  })

  test('does a call late, also after its caller has given up', async () => {
    const { node, clock } = await flaky()
    node.mishaps.next({ delayMs: 30 }, { delayMs: 80 })
    const soon = watched(changed(node, put('k', envelope(1n))))
    const late = watched(changed(node, put('l', envelope(1n))))
    await clock.advance(29)
    assert.deepEqual([soon(), await got(node, 'k')], ['pending', undefined])
    await clock.advance(1)
    assert.deepEqual(soon(), { state: 'applied' })
    await clock.advance(20)
    assert.ok(state(late() as Status) === 'unknown' && (late() as { error: Error }).error instanceof DeadlineError)
    assert.equal(await got(node, 'l'), undefined)
    await clock.advance(30)
    assert.deepEqual(await got(node, 'l'), envelope(1n))
    assert.equal(clock.pendingTimers, 0)
  })

  test('answers late what it did at once', async () => {
    const { node, clock } = await flaky()
    await changed(node, put('k', envelope(1n)))
    node.mishaps.next({ lateMs: 40 })
    const read = watched(got(node, 'k'))
    await changed(node, put('k', envelope(2n)))
    await clock.advance(39)
    assert.equal(read(), 'pending')
    await clock.advance(1)
    assert.deepEqual(read(), envelope(1n))
  })

  test('a call that hangs ends with its own timeout, else with the node`s', async () => {
    const { node, clock } = await flaky({ timeout: 200 })
    node.mishaps.next({ delayMs: Number.POSITIVE_INFINITY }, { lateMs: Number.POSITIVE_INFINITY })
    const own = watched(node.apply([put('k', envelope(1n))], { timeoutMs: 20 }))
    const nodes = watched(node.lease([{ key: 'l', token: 1, leaseMs: 10, seen: { version: 0n, freshUntilMs: 0, begun: 0 } }]))
    await clock.advance(20)
    assert.equal(state((own() as Status[])[0]), 'unknown')
    await clock.advance(179)
    assert.equal(nodes(), 'pending')
    await clock.advance(1)
    assert.equal((nodes() as { state: string }[])[0]!.state, 'unknown')
    assert.equal(clock.pendingTimers, 0)
  })

  test('every kind of call fails when it is down, at once, and none when it is up again', async () => {
    const { node, told } = await flaky()
    const calls = {
      get: () => got(node, 'k'),
      getMany: () => node.getMany(['k']),
      run: () => node.run(remaining, ['k'], []),
      control: () => node.control.get('x'),
      compareAndSet: () => node.control.compareAndSet('x', undefined, new Uint8Array(1)),
      scan: async () => {
        for await (const _ of node.scan(''));
      },
      stats: () => node.stats(),
      ping: () => node.ping(),
      watch: () => node.watch([''], new Heard()),
      connect: () => node.connect(),
    }
    node.mishaps.down()
    for (const [name, call] of Object.entries(calls)) await assert.rejects(call(), NodeError, name)
    assert.equal(state(await changed(node, put('k', envelope(1n)))), 'failed')
    assert.equal(state((await node.apply([put('k', envelope(1n))]))[0]), 'failed')
    node.mishaps.up()
    for (const call of Object.values(calls)) await call()
    assert.equal(await got(node, 'k'), undefined)
    assert.deepEqual(told.names, ['node:down', 'node:up'])
  })

  test('a silent node is not known to be down, and lets calls run out', async () => {
    const { node, clock, told } = await flaky()
    node.mishaps.down('silent')
    const read = watched(got(node, 'k'))
    await clock.advance(49)
    assert.equal(read(), 'pending')
    await clock.advance(1)
    assert.ok(read() instanceof DeadlineError)
    assert.deepEqual(told.names, [])
  })

  test('what is under way when it goes down is lost', async () => {
    const { node, clock } = await flaky()
    node.mishaps.next({ delayMs: 10 }, { lateMs: 10 })
    const before = watched(changed(node, put('k', envelope(1n))))
    const after = watched(changed(node, put('l', envelope(1n))))
    node.mishaps.down()
    node.mishaps.up()
    await clock.advance(10)
    assert.deepEqual([state(before() as Status), state(after() as Status)], ['unknown', 'unknown'])
    assert.deepEqual([await got(node, 'k'), await got(node, 'l')], [undefined, envelope(1n)])
  })

  test('watchers are told that changes may go unheard, and hear none while it is down', async () => {
    const { node } = await flaky()
    const heard = new Heard()
    const losses: [string, boolean][] = []
    const watcher = {
      changed: (keys: readonly string[]) => heard.changed(keys),
      lost: (why: string, hears: boolean) => losses.push([why, hears]),
    }
    const stop = await node.watch(['k'], watcher)
    node.mishaps.next({ lateMs: 0 })
    const change = changed(node, put('k1', envelope(1n)))
    node.mishaps.down()
    await change
    assert.deepEqual([[...heard.everHeard], losses], [[], [['the node is down', false]]])
    node.mishaps.up()
    await changed(node, put('k2', envelope(1n)))
    await heard.of('k2')
    assert.deepEqual([[...heard.everHeard], losses[1]], [['k2'], ['the node was down', true]])
    await stop()
    node.mishaps.down()
    assert.equal(losses.length, 2)
  })

  test('a script sees each call and decides, after what was said for the next ones', async () => {
    const seen: string[] = []
    const { node } = await flaky({
      script: ({ operation, keys, number }) => {
        seen.push(`${number} ${operation} ${keys.join()}`)
        return keys.includes('bad') ? 'fail' : undefined
      },
    })
    node.mishaps.next('fail')
    await assert.rejects(node.getMany(['a']), NodeError)
    await node.getMany(['a', 'b'])
    await assert.rejects(got(node, 'bad'), NodeError)
    assert.deepEqual(seen, ['2 getMany a,b', '3 get bad'])
  })

  test('odds are met as often as they say, and the same ones by the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const { node, clock } = await flaky({ seed, odds: { fail: 0.1, loseCall: 0.1, loseAnswer: 0.1, delay: 0.2, delayMs: 10 } })
      const seen: (() => unknown)[] = []
      for (let i = 0; i < 2_000; i++) seen.push(watched(changed(node, put(`k${i}`, envelope(1n)))))
      await clock.advance(50)
      const { calls, failed, lostCalls, lostAnswers, delayed } = node.mishaps.counts
      assert.equal(calls, 2_000)
      for (const share of [failed, lostCalls, lostAnswers, delayed / 2]) assert.ok(share > 140 && share < 260, String(share))
      return seen.map((now) => state(now() as Status)[0]).join('')
    }
    const [one, again, other] = [await run(1), await run(1), await run(2)]
    assert.equal(again, one)
    assert.notEqual(other, one)
  })

  test('closing lets what is under way end within its timeout, and leaves no timer', async () => {
    const { node, clock } = await flaky()
    node.mishaps.next({ delayMs: 10 }, { delayMs: 500 }, { lateMs: Number.POSITIVE_INFINITY })
    const calls = [1, 2, 3].map((i) => changed(node, put(`k${i}`, envelope(1n))))
    const closing = node.close()
    await clock.advance(50)
    await closing
    assert.deepEqual((await Promise.all(calls)).map(state), ['applied', 'unknown', 'unknown'])
    assert.equal(clock.pendingTimers, 0)
    await assert.rejects(got(node, 'k1'), ClosedError)
  })

  test('what is no mishap is refused where it is said', async () => {
    const { node } = await flaky()
    assert.throws(() => node.mishaps.next('loose-answer' as 'fail'), ConfigurationError)
    assert.throws(() => node.mishaps.next({ delayMs: -1 }), ConfigurationError)
    assert.throws(() => node.mishaps.odds({ fail: 0.6, loseCall: 0.6 }), ConfigurationError)
    assert.throws(() => node.mishaps.odds({ fails: 0.6 } as object), ConfigurationError)
    assert.throws(() => flakyNode(memoryNode({ id: 'a' }), { sead: 1 } as object), ConfigurationError)
  })
})
