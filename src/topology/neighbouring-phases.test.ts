/**
 * The promise of a change of the ring, as a law: whatever two processes in neighbouring phases do, in whatever order, none reads what is older than
 * what either of them was told is written; also while entries are copied beneath them, and when all is over.
 */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import type { Replicated } from '../cluster/cluster.ts'
import { LiveRing } from '../cluster/live-ring.ts'
import { RingCluster } from '../cluster/ring-cluster.ts'
import { encodeEnvelope, isEnvelope, kindOf, versionOf } from '../codec/envelope.ts'
import type { EntryKind } from '../entry.ts'
import { noEmit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import type { Ring } from '../ring/ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { flakyNode } from '../testing/flaky-node.ts'
import { versionAt } from '../version-clock.ts'
import { EntryCopies } from './entry-copies.ts'
import { sweepLeftovers } from './leftovers.ts'
import type { KeyPlacing } from './topology.ts'
import { WalkedNodes } from './walked-nodes.ts'

before(() => hashRing().prepare())

const NOTHING = new Uint8Array(0)
const KEYS = Array.from({ length: 6 }, (_, nth) => `rt:item:${nth}`)
const RINGS = [
  { was: ['n1', 'n2', 'n3'], is: ['n1', 'n2', 'n3', 'n4'] },
  { was: ['n1', 'n2', 'n3', 'n4'], is: ['n2', 'n3', 'n4'] },
  { was: ['n1', 'n2', 'n3'], is: ['n3', 'n4', 'n5'] },
  { was: ['n1', 'n2', 'n3'], is: ['n4', 'n5', 'n6'] },
] as const

type Act =
  | { readonly do: 'put' | 'remove' | 'read' | 'read-many'; readonly by: 0 | 1; readonly key: number; readonly laterMs: number }
  | { readonly do: 'go-on'; readonly by: 0 | 1 }
  | { readonly do: 'copy-on' }

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    do: fc.constantFrom('put' as const, 'put' as const, 'remove' as const, 'read' as const, 'read' as const, 'read-many' as const),
    by: fc.constantFrom(0 as const, 1 as const),
    key: fc.nat(KEYS.length - 1),
    laterMs: fc.integer({ min: 1, max: 90 }),
  }),
  fc.record({ do: fc.constant('go-on' as const), by: fc.constantFrom(0 as const, 1 as const) }),
  fc.record({ do: fc.constant('copy-on' as const) }),
)

class Fleet {
  readonly clock = new FakeClock()
  readonly nodes: readonly CacheNode[]
  readonly old: Ring<CacheNode>
  readonly next: Ring<CacheNode>
  readonly rings: readonly LiveRing[]
  readonly clusters: readonly RingCluster[]
  /** 0 and 3: settled. */
  readonly phases = [0, 0]
  /** What was acknowledged last, by key. */
  readonly written = new Map<string, bigint>()
  #copying: Promise<void> | undefined
  #isCopied = false
  #steps: (() => void)[] = []
  readonly #walked: WalkedNodes

  constructor({ was, is }: (typeof RINGS)[number]) {
    const ids = [...new Set<string>([...was, ...is])]
    this.nodes = ids.map((id) => memoryNode({ id, clock: this.clock }))
    const named = (some: readonly string[]): CacheNode[] => some.map((id) => this.nodes.find((node) => node.id === id)!)
    this.old = hashRing().build(named(was), 3)
    this.next = hashRing().build(named(is), 3)
    this.rings = [new LiveRing(this.old), new LiveRing(this.old)]
    this.clusters = this.rings.map((ring) => new RingCluster(ring, { clock: this.clock, emit: noEmit }))
    // Each step of the walk waits until the schedule lets it go on.
    this.#walked = new WalkedNodes({ clock: this.clock, rate: 1_000_000, signal: new AbortController().signal, looked: () => {} })
  }

  async take(act: Act): Promise<void> {
    if (act.do === 'go-on') return this.#goOn(act.by)
    if (act.do === 'copy-on') return this.#copyOn()
    await this.clock.advance(act.laterMs)
    const key = KEYS[act.key]!
    if (act.do === 'put' || act.do === 'remove') await this.#write(act.by, key, act.do === 'put' ? 'value' : 'tombstone')
    else await this.#read(act.by, key, act.do === 'read-many')
  }

  async finish(): Promise<void> {
    for (let turns = 0; this.phases.some((phase) => phase < 3); turns++) {
      assert.ok(turns < 1_000, 'it does not end')
      await this.#goOn((turns % 2) as 0 | 1)
      await this.#copyOn()
    }
    await wholly(this.clock, sweepLeftovers(this.#walked, this.nodes, placed(this.next)))
    for (const key of KEYS) for (const by of [0, 1] as const) await this.#read(by, key, false)
    for (const node of this.nodes)
      for await (const keys of node.scan('rt:')) for (const key of keys) assert.ok(this.next.ownersOf(key).includes(node), 'left over')
  }

  async #write(by: 0 | 1, key: string, kind: EntryKind): Promise<void> {
    const nowMs = this.clock.now()
    const version = versionAt(nowMs)
    const header = { kind, codec: 0, version, freshUntilMs: nowMs + 3_600_000, graceMs: 0, loadCostMs: 0, begun: nowMs }
    const change = {
      op: 'put',
      key,
      bytes: encodeEnvelope(header, NOTHING, NOTHING),
      ttlMs: kind === 'value' ? 3_600_000 : 300_000,
    } as const
    const { state } = await new Promise<Replicated>((resolve) => this.clusters[by]!.put(change, 'quorum', resolve))
    assert.equal(state, 'applied')
    this.written.set(key, version)
  }

  async #read(by: 0 | 1, key: string, many: boolean): Promise<void> {
    const cluster = this.clusters[by]!
    const { bytes } = many
      ? (await cluster.fetchMany([key]))[0]!
      : await new Promise<{ bytes: Uint8Array | undefined }>((resolve) => cluster.fetch(key, resolve))
    const found = bytes !== undefined && isEnvelope(bytes) ? versionOf(bytes) : 0n
    const written = this.written.get(key) ?? 0n
    assert.ok(found >= written, `${key} in phases ${this.phases}: ${kindOf(bytes ?? NOTHING)} ${found}, and ${written} was written`)
  }

  async #goOn(by: 0 | 1): Promise<void> {
    const phase = this.phases[by]!
    if (phase === 3 || this.phases[1 - by]! < phase) return
    // The operator switches once everything is copied, and copies once everybody writes to both.
    if (phase === 1 && !this.#isCopied) return
    this.phases[by] = phase + 1
    const ring = this.rings[by]!
    if (phase === 0) ring.turn(this.old, this.next)
    else if (phase === 1) ring.turn(this.next, this.old)
    else ring.turn(this.next, undefined)
  }

  /** A node answers the copier only when the schedule says so, so that anything can happen between two of its steps. */
  async #copyOn(): Promise<void> {
    if (this.phases.every((phase) => phase === 1) && this.#copying === undefined) {
      const steady = new Map(this.nodes.map((node) => [node, stepped(node, (step) => this.#steps.push(step))]))
      const placing = (ring: Ring<CacheNode>): KeyPlacing => ({
        prefix: 'rt:',
        members: ring.members,
        fewestOwners: ring.replicas,
        ownersOf: (key) => ring.ownersOf(key).map((node) => steady.get(node)!),
      })
      const copies = new EntryCopies({ walked: this.#walked, clock: this.clock, from: placing(this.old), to: placing(this.next), dead: [] })
      this.#copying = copies.copyFrom(this.old.members.map((node) => steady.get(node)!)).then(() => {
        assert.equal(copies.counts.failed, 0)
        this.#isCopied = true
      })
    }
    await this.clock.settle()
    for (const step of this.#steps.splice(0)) step()
    await this.clock.advance(1)
  }
}

/** Moves time on until the work is done. */
async function wholly(clock: FakeClock, work: Promise<unknown>): Promise<void> {
  let isDone = false
  const done = work.then(() => {
    isDone = true
  })
  while (!isDone) await clock.advance(5)
  await done
}

function placed(ring: Ring<CacheNode>): KeyPlacing {
  return { prefix: 'rt:', members: ring.members, fewestOwners: ring.replicas, ownersOf: (key) => ring.ownersOf(key) }
}

/** The same node, whose reads and changes wait for their turn. */
function stepped(node: CacheNode, wait: (step: () => void) => void): CacheNode {
  const turn = (): Promise<void> => new Promise((resolve) => wait(resolve))
  return new Proxy(node, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target) as unknown
      if (typeof value !== 'function') return value
      if (name !== 'getMany' && name !== 'apply') return value.bind(target)
      return async (...args: unknown[]) => {
        await turn()
        const answer = await value.apply(target, args)
        await turn()
        return answer
      }
    },
  })
}

for (const [nth, ring] of RINGS.entries()) {
  test(`nobody reads what is older than what is written, from ${ring.was} to ${ring.is}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 60, maxLength: 200, size: 'max' }), async (acts) => {
        const fleet = new Fleet(ring)
        for (const each of acts) await fleet.take(each)
        await fleet.finish()
      }),
      { numRuns: 100, seed: 5 + nth },
    )
  })
}

test('what a new owner missed while entries were copied is handed on before the old ring goes', async () => {
  const clock = new FakeClock()
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => flakyNode(memoryNode({ id, clock })))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const [old, next] = [hashRing().build(nodes.slice(0, 3), 2), hashRing().build(nodes, 2)]
  const live = new LiveRing(old)
  const cluster = new RingCluster(live, { clock, emit: noEmit })
  const key = Array.from({ length: 1_000 }, (_, nth) => `rt:item:${nth}`).find((each) => next.ownersOf(each)[0]!.id === 'n4')!
  const write = async (): Promise<bigint> => {
    await clock.advance(100)
    const version = versionAt(clock.now())
    const times = { freshUntilMs: clock.now() + 60_000, graceMs: 0, loadCostMs: 0, begun: clock.now() }
    const bytes = encodeEnvelope({ kind: 'value', codec: 0, version, ...times }, NOTHING, NOTHING)
    await cluster.replicate([{ op: 'put', key, bytes, ttlMs: 60_000 }], 'quorum')
    return version
  }
  const walked = new WalkedNodes({ clock, rate: 1_000_000, signal: new AbortController().signal, looked: () => {} })
  const copies = new EntryCopies({ walked, clock, from: placed(old), to: placed(next), dead: [] })
  await write()
  live.turn(old, next)
  await wholly(clock, copies.copyFrom(old.members))
  nodes[3]!.mishaps.down('refusing')
  const missed = await write()
  nodes[3]!.mishaps.up()
  live.turn(next, old)
  const held = async (): Promise<bigint> => versionOf((await nodes[3]!.getMany([key]))[0]!)
  assert.notEqual(await held(), missed)
  await clock.advance(100)
  await wholly(clock, copies.handOnFrom(old.members))
  assert.equal(await held(), missed)
})
