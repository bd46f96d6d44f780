import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RingKnowledge } from '../cluster/ring-knowledge.ts'
import { noEmit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode, Control } from '../node/node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../testing/flaky-node.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { writeRecord } from './record-board.ts'
import { RingDecisions } from './ring-decisions.ts'
import type { TopologyNodes, TopologyRecord } from './topology.ts'
import type { TopologyLock } from './topology-lock.ts'
import {
  decidedRecord,
  decodeRecord,
  encodeRecord,
  firstRecord,
  memberOf,
  movingRecord,
  phaseOf,
  settledRecord,
  switchedRecord,
} from './topology-record.ts'
import { TopologyWatch } from './topology-watch.ts'

const SEEDS = 12
const STEPS = 5

class Ground {
  readonly clock = new FakeClock()
  readonly real: CacheNode[]
  readonly first: TopologyRecord

  /** By epoch, all records that were decided at any moment. */
  readonly decided = new Map<number, Set<string>>()
  readonly #held = new Map<string, Uint8Array>()

  constructor(ids: readonly string[]) {
    this.real = ids.map((id) => this.#observed(memoryNode({ id, clock: this.clock })))
    this.first = firstRecord(this.real.slice(0, 3).map(memberOf))
  }

  /** Without a lock, which is not what keeps two records from being decided. */
  async operator(nth: number) {
    const { clock } = this
    const random = seededRandom(nth)
    const ways = this.real.map((node) => flakyNode(node, { clock, seed: nth }))
    await Promise.all(ways.map((way) => way.connect({ clock })))
    const all: FlakyNode[] = ways.slice(0, 3)
    const nodes: TopologyNodes = {
      all,
      knowledge: new RingKnowledge(),
      lookAtCaches: async () => {},
      needCaches: () => {},
      admit: (members) => {
        for (const way of ways) if (members.some(({ id }) => id === way.id) && !all.includes(way)) all.push(way)
      },
      turn: () => {},
      retireAllBut: () => {},
      placing: () => assert.fail(),
      measured: () => assert.fail(),
    }
    const watch = new TopologyWatch({ nodes, clock, random, emit: noEmit })
    const pause = (ms: number): Promise<void> => (ms === 0 ? Promise.resolve() : new Promise((resolve) => void clock.after(ms, resolve)))
    const lock = { take: async () => {} } as unknown as TopologyLock
    return { watch, ways, random, nodes, decisions: () => new RingDecisions({ nodes, watch, lock, clock, random, pause }) }
  }

  #observed(node: CacheNode): CacheNode {
    const control: Control = {
      get: (name, call) => node.control.get(name, call),
      compareAndSet: async (name, expected, next, call) => {
        const isTaken = await node.control.compareAndSet(name, expected, next, call)
        if (isTaken) this.#written(node.id, next)
        return isTaken
      },
    }
    return new Proxy(node, {
      get: (target, name) => {
        if (name === 'control') return control
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  #written(id: string, bytes: Uint8Array): void {
    this.#held.set(id, bytes)
    const record = decodeRecord(bytes)
    if (record === undefined) return
    const held = Array.from(this.#held, ([node, each]) => ({ node, bytes: each }))
    const decided = decidedRecord({ ...this.first, epoch: record.epoch - 1 }, held)
    if (decided === undefined) return
    const { ballot: _, ...said } = decided
    const texts = this.decided.get(decided.epoch) ?? new Set<string>()
    this.decided.set(decided.epoch, texts.add(String(encodeRecord(said))))
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const end = (): void => {
      isSettled = true
    }
    promise.then(end, end)
    for (let turns = 0; !isSettled; turns++) {
      assert.ok(turns < 50_000, 'nothing settles it')
      await this.clock.advance(20)
    }
    return promise
  }
}

type Operator = Awaited<ReturnType<Ground['operator']>>

/** Forward or back, by chance, from whatever stands. */
async function operate({ decisions, watch, random, nodes }: Operator, by: string, ground: Ground): Promise<void> {
  for (let nth = 0; nth < STEPS; nth++) {
    const deciding = decisions()
    try {
      await deciding.clear()
      const { last } = deciding
      const others = ground.real.filter(() => random() < 0.7).map(memberOf)
      const next = others.length === 0 ? last.members : others
      nodes.admit(next)
      const begin = { next, id: `${by}${nth}`, startedMs: 0, by }
      const isForward = random() < 0.6
      await deciding.decide(last, (from, beginsMs) => {
        const phase = phaseOf(from)
        if (phase === 'settled') return movingRecord(from, begin, beginsMs)
        if (phase === 'moving') return isForward ? switchedRecord(from, beginsMs) : settledRecord(from, beginsMs)
        return isForward ? settledRecord(from, beginsMs) : movingRecord(from, { ...begin, next: from.change!.members }, beginsMs)
      })
    } catch (thrown) {
      assert.equal((thrown as { code?: string }).code, 'TOPOLOGY', String(thrown))
    }
  }
  watch.stop()
}

test('whatever calls and answers are lost or late, no two records of one epoch are decided', async () => {
  let decided = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const ground = new Ground(['n1', 'n2', 'n3', 'n4'])
    const operators = await Promise.all([1, 2].map((nth) => ground.operator(seed * 10 + nth)))
    for (const { ways, random } of operators) {
      let outMs = 0
      let out = ways[0]
      for (const way of ways) {
        way.mishaps.odds({ fail: 0.02, loseCall: 0.1, loseAnswer: 0.25, delay: 0.3, delayMs: 600, late: 0.2, lateMs: 200 })
        // Each operator lacks another node, and for a while another.
        way.mishaps.script(() => {
          if (ground.clock.monotonic() >= outMs) {
            outMs = ground.clock.monotonic() + 200 + 1_000 * random()
            out = ways[Math.floor(random() * 3)]
          }
          return out === way ? 'fail' : undefined
        })
      }
    }
    await ground.until(Promise.all(operators.map((each, nth) => operate(each, 'ab'[nth]!, ground))))
    for (const [epoch, records] of ground.decided)
      assert.equal(records.size, 1, `seed ${seed}, epoch ${epoch}: ${[...records].join(' and ')}`)
    decided += ground.decided.size
  }
  assert.ok(decided > SEEDS, `${decided} decided`)
})

const beginning = ({ first }: Ground, id: string) => ({ next: first.members.slice(1), id, startedMs: 0, by: id })

test('what was decided without its writer hearing of it is gone on with, not decided anew', async () => {
  const ground = new Ground(['n1', 'n2', 'n3'])
  const operator = await ground.operator(1)
  const deciding = operator.decisions()
  await ground.until(deciding.clear())
  operator.ways[2]!.mishaps.down('refusing')
  const fails = { left: 1 }
  operator.ways[1]!.mishaps.script(({ operation }) => {
    // The first is the claim, the second the record.
    if (operation !== 'control.compareAndSet' || fails.left-- !== 0) return undefined
    return 'lose-answer'
  })
  const made: number[] = []
  await ground.until(
    deciding.decide(ground.first, (from, beginsMs) => {
      made.push(beginsMs)
      return movingRecord(from, beginning(ground, 'a'), beginsMs)
    }),
  )
  assert.equal(made.length, 2)
  assert.equal(deciding.last.beginsMs, made[0])
  operator.watch.stop()
})

test('what another left half written is decided where it may have been, and written over where it was not', async () => {
  for (const isHeard of [false, true]) {
    const ground = new Ground(['n1', 'n2', 'n3'])
    await writeRecord(ground.real.slice(0, 1), movingRecord(ground.first, beginning(ground, 'dead'), 5))
    const operator = await ground.operator(1)
    if (!isHeard) operator.ways[2]!.mishaps.down('refusing')
    const deciding = operator.decisions()
    await ground.until(deciding.clear())
    assert.equal(deciding.last.change?.id, isHeard ? undefined : 'dead')
    operator.watch.stop()
  }
})
