/**
 * Several processes that want one place, some of them cut off from their nodes: who has it, and how often it changes hands.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { checkedCapture } from './capture-options.ts'
import { CaptureRun, type Place } from './capture-run.ts'

interface Process {
  readonly run: CaptureRun
  isCutOff: boolean
  /** `capture:waiting`'s reasons, and 'following'. */
  readonly told: string[]
}

/** Processes over a database that knows who has the place and who stands by, as the locks of a real one do. */
function fleet(size: number) {
  const clock = new FakeClock()
  const random = seededRandom(9)
  const held: { by: CaptureRun | undefined; times: number } = { by: undefined, times: 0 }
  const standingBy = new Set<CaptureRun>()

  async function follow(run: CaptureRun): Promise<void> {
    const place: Place = {
      standBy: async (isFit) => void (isFit ? standingBy.add(run) : standingBy.delete(run)),
      isFree: async () => held.by === undefined,
      async take() {
        if (held.by !== undefined) return false
        held.by = run
        held.times++
        return true
      },
    }
    let handsOver = false
    try {
      if (!(await run.placeTaken(place))) return
      run.following(undefined)
      const end = run.fitness.follow({
        isAwaited: async () => [...standingBy].some((other) => other !== run),
        handOver: () => {
          handsOver = true
          run.hurry()
        },
      })
      while (!handsOver && !run.closed) await run.pause(500)
      end()
    } finally {
      standingBy.delete(run)
      if (held.by === run) held.by = undefined
    }
    if (handsOver) run.handedOver()
  }

  const start = (isCutOff = false): Process => {
    const cache = { name: 'items', applyChanges: async () => new Map(), deleteByTag: async () => {}, clear: async () => {} }
    const options = checkedCapture({ database: 'postgres://db/shop', tables: [{ table: 'items', cache }] })
    const told: string[] = []
    const emit = (name: string, payload: { readonly reason?: string }): void => {
      if (name === 'capture:started') told.push('following')
      if (name === 'capture:waiting') told.push(payload.reason!)
    }
    const parts = { clock, random, emit: emit as never, isCutOff: (): boolean => process.isCutOff }
    const process: Process = { isCutOff, told, run: undefined as never }
    return Object.assign(process, { run: new CaptureRun(options, parts, follow) })
  }
  const processes: Process[] = Array.from({ length: size }, () => start())
  const followers = () => processes.filter(({ run }) => run.stats().state === 'following').map((each) => processes.indexOf(each))
  const close = () => Promise.all(processes.map(({ run }) => run.close()))
  const add = (isCutOff: boolean) => void processes.push(start(isCutOff))
  return { clock, random, processes, held, followers, add, close }
}

const CUT_OFF = 'most nodes do not answer this process, so that another is to follow'

test('from a follower that is cut off the place goes to one that is not, within 600 ms', async () => {
  const { clock, processes, followers, close } = fleet(3)
  await clock.advance(1_000)
  assert.deepEqual(followers(), [0])
  processes[0]!.isCutOff = true
  processes[1]!.isCutOff = true
  await clock.advance(600)
  assert.deepEqual(followers(), [2])
  assert.deepEqual(
    processes.map(({ told }) => told),
    [['following', CUT_OFF], ['another process follows'], ['another process follows', 'following']],
  )
  await close()
})

test('it stays where it is while nobody else is there, or all are cut off; one that is well again gets it', async () => {
  const { clock, processes, held, followers, add, close } = fleet(1)
  await clock.advance(1_000)
  processes[0]!.isCutOff = true
  await clock.advance(60_000)
  add(true)
  add(true)
  await clock.advance(60_000)
  assert.deepEqual([followers(), held.times], [[0], 1])
  processes[2]!.isCutOff = false
  await clock.advance(2_000)
  assert.deepEqual([followers(), held.times], [[2], 2])
  // When all are well it stays there.
  for (const process of processes) process.isCutOff = false
  await clock.advance(60_000)
  assert.deepEqual([followers(), held.times], [[2], 2])
  await close()
})

test('where all are cut off one takes a free place, after five seconds in which nobody else has', async () => {
  const { clock, processes, followers, held, close } = fleet(3)
  await clock.advance(1_000)
  for (const process of processes) process.isCutOff = true
  await clock.advance(1_000)
  await processes[0]!.run.close()
  await clock.advance(4_500)
  assert.deepEqual(followers(), [])
  await clock.advance(1_000)
  assert.deepEqual([followers().length, held.times], [1, 2])
  await close()
})

test('between two that are cut off in turn the place goes back and forth twice in ten seconds at most', async () => {
  const { clock, processes, held, close } = fleet(2)
  await clock.advance(1_000)
  for (let turn = 0; turn < 40; turn++) {
    for (const [nth, process] of processes.entries()) process.isCutOff = nth === turn % 2
    await clock.advance(1_500)
  }
  assert.ok(held.times > 2, 'it did change hands')
  assert.ok(held.times <= 1 + 2 * 6, `${held.times} times in a minute`)
  await close()
})

test('however processes are cut off and well again, one at a time has the place, and it is never left for long', async () => {
  const { clock, random, processes, followers, held, close } = fleet(4)
  const MINUTES = 4
  let freeMs = 0
  let longestFreeMs = 0
  for (let ms = 0; ms < MINUTES * 60_000; ms += 100) {
    for (const process of processes) if (random() < 0.06) process.isCutOff = !process.isCutOff
    await clock.advance(100)
    assert.ok(followers().length <= 1)
    freeMs = followers().length === 0 ? freeMs + 100 : 0
    longestFreeMs = Math.max(longestFreeMs, freeMs)
  }
  assert.ok(held.times > 4, 'it did change hands')
  assert.ok(longestFreeMs <= 6_500, `free for ${longestFreeMs} ms`)
  await close()
})
