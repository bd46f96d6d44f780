import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CacheNode, NodeStats } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { type Measured, measured } from './plan-measuring.ts'
import { planOf } from './ring-plan.ts'
import { ringPlanText } from './ring-plan-text.ts'
import type { Member } from './topology.ts'

const placement = hashRing()
await placement.prepare()
const membersOf = (...ids: readonly string[]): Member[] => ids.map((id) => ({ id, zone: undefined, weight: 1, label: id, url: undefined }))
const before = placement.build(membersOf('a', 'b', 'c'), 2)
const without = placement.build(membersOf('a', 'b'), 2)
const withD = placement.build(membersOf('a', 'b', 'c', 'd'), 2)
const RATE = 1_000

/** Of a node with 1,000 entries of 100 bytes, and room for as many again. */
function statsWith(as: Partial<NodeStats> = {}): NodeStats {
  const sizes = { entries: 1_000, usedBytes: 100_000, maxBytes: 200_000 }
  const counts = { evicted: 0, expired: 0, hits: 0, misses: 0, controlReads: 0, hintReads: 0, connections: 0 }
  return { engine: 'memory', engineVersion: '1', ...sizes, ...counts, ...as }
}

function measuredWith(as: Partial<Measured> & { readonly stats?: Partial<NodeStats>; readonly rttMs?: number } = {}): Measured {
  const nodes = ['a', 'b', 'c'].map((id) => ({ id, stats: statsWith(as.stats), rttMs: as.rttMs ?? 0 }))
  return { nodes, joining: [], plainShare: 0, ofThisProcess: undefined, ofAllProcesses: undefined, ...as }
}

function assertNear(found: number, expected: number, error: number): void {
  assert.ok(Math.abs(found - expected) <= error, `${expected} expected, ${found} found`)
}

const seen = { measuredMs: 10_000, hits: 9_000, plainHits: 0, loads: 100 }

test('what nodes have no room for is told, and counts as lost at most', () => {
  const roomy = planOf(before, without, measuredWith({ ofAllProcesses: seen }), RATE)
  assert.equal(roomy.entriesWithoutRoom, 0)
  const full = planOf(before, without, measuredWith({ ofAllProcesses: seen, stats: { maxBytes: 120_000 } }), RATE)
  // Two nodes gain all that the third had, and have room for 200 each.
  assertNear(full.entriesWithoutRoom, 600, 2)
  const [atMost, less] = [full, roomy].map(({ database }) => database.ofAllProcesses!.atMost.loadsPerSecond)
  // 600 of 1,500 keys, of 900 hits a second.
  assertNear(atMost! - less!, (900 * 600) / 1_500, 1)
  assert.equal(full.database.ofAllProcesses!.switched.loadsPerSecond, 10)
  assert.equal(planOf(before, without, measuredWith({ stats: { maxBytes: 0 } }), RATE).entriesWithoutRoom, 0)
  assert.match(ringPlanText(full), /to be evicted for lack of room: \d+ entries/)
})

test('a node that joins has the room that it says, or any where it does not', () => {
  const small = planOf(
    before,
    withD,
    measuredWith({ joining: [{ id: 'd', stats: statsWith({ entries: 0, usedBytes: 0, maxBytes: 10_000 }) }] }),
    RATE,
  )
  const gained = small.moves.filter(({ to }) => to === 'd').reduce((sum, { copies }) => sum + copies, 0)
  assertNear(small.entriesWithoutRoom, gained - 100, 2)
  assert.equal(planOf(before, withD, measuredWith(), RATE).entriesWithoutRoom, 0)
})

test('the worst that succeeds: one in a hundred copies fails, and what moves is loaded twice', () => {
  const { database, loadsWithoutCopying, keys, copies } = planOf(before, withD, measuredWith({ ofThisProcess: seen }), RATE)
  const { now, copying, switched, atMost, withoutCopying } = database.ofThisProcess!
  assert.deepEqual(
    [now, copying, switched].map((each) => [each.loadsPerSecond, each.timesNow]),
    [
      [10, 1],
      [10, 1],
      [10, 1],
    ],
  )
  const moved = loadsWithoutCopying / keys
  assertNear(withoutCopying.loadsPerSecond, 10 + 900 * moved, 1)
  assertNear(atMost.loadsPerSecond, 10 + 10 * moved + (900 * 0.01 * copies) / keys, 0.1)
  assert.equal(database.ofAllProcesses, undefined)
})

test('a walk takes as long as its rate, or as its round trips where that is longer', () => {
  const { expectedMs } = planOf(before, without, measuredWith(), RATE)
  assert.equal(expectedMs.copying, 3_000)
  assertNear(expectedMs.checking, 3_000 + 1_000, 5)
  assertNear(expectedMs.cleaning, 2_000 + 4_000, 5)
  // 8 batches of a node, three calls each.
  assert.equal(planOf(before, without, measuredWith({ rttMs: 200 }), RATE).expectedMs.copying, 8 * 3 * 200)
  const { total, ...steps } = expectedMs
  assert.equal(
    total,
    Object.values(steps).reduce((sum, ms) => sum + ms, 0),
  )
})

test('where no node answers nothing is promised', () => {
  const { keys, copies, bytes, database } = planOf(before, withD, measuredWith({ nodes: [] }), RATE)
  assert.deepEqual([keys, copies, bytes, database.ofAllProcesses], [0, 0, 0, undefined])
})

/** A node that answers each look with the next of these; the last goes on. @param keys that it has */
function nodeOf(id: string, looks: readonly (Partial<NodeStats> | undefined)[], keys: readonly string[] = ['rt:item:k']): CacheNode {
  let nth = 0
  const node = {
    id,
    stats: async () => {
      const look = looks[Math.min(nth++, looks.length - 1)]
      if (look === undefined) throw new Error('down')
      return statsWith(look)
    },
    ping: async () => ({ rttMs: 1, timeMs: 0 }),
    scan: async function* () {
      yield keys
    },
  }
  return node as unknown as CacheNode
}

function measuredOf(nodes: readonly CacheNode[], isRecorded = false): Promise<Measured> {
  let nowMs = 0
  const clock = { monotonic: () => nowMs }
  const wait = async () => {
    nowMs += 10_000
  }
  return measured({ nodes, joining: [], replicas: 2, isRecorded, clock, reads: () => ({ hits: 0, plainHits: 0, loads: 0 }), wait })
}

test('a node that began anew or did not answer twice is taken to be asked for what the others are', async () => {
  const well = [
    { hits: 50, misses: 10 },
    { hits: 1_060, misses: 40 },
  ]
  const { ofAllProcesses, nodes } = await measuredOf([
    nodeOf('a', well),
    nodeOf('b', [{ hits: 9_000 }, { hits: 3 }]),
    nodeOf('c', [{}, undefined]),
  ])
  // 30 misses are ten loads with two owners, each of which the fill finds the lease of.
  assert.deepEqual(ofAllProcesses, { measuredMs: 10_000, hits: 3 * 1_000, plainHits: 0, loads: 3 * 10 })
  assert.deepEqual(
    nodes.map(({ id }) => id),
    ['a', 'b'],
  )
})

test('looks at the record of the ring and for hints are no reads, whether there are any or not', async () => {
  const looks = [{}, { hits: 4, misses: 20, controlReads: 20 }]
  assert.equal((await measuredOf([nodeOf('a', [{}, { misses: 20, controlReads: 20 }])])).ofAllProcesses, undefined)
  assert.equal((await measuredOf([nodeOf('a', [{}, { hits: 20, controlReads: 20 }])], true)).ofAllProcesses, undefined)
  assert.equal((await measuredOf([nodeOf('a', looks)])).ofAllProcesses!.hits, 4)
  // Of two nodes: ten looks for hints, each with one at the node's record, and five at that of the ring.
  const hinted = { hits: 10, misses: 45, controlReads: 15, hintReads: 40 }
  const two = (found: Partial<NodeStats>) => ['a', 'b'].map((id) => nodeOf(id, [{}, found]))
  assert.equal((await measuredOf(two(hinted))).ofAllProcesses, undefined)
  assert.equal((await measuredOf(two({ ...hinted, hits: 15, misses: 40 }), true)).ofAllProcesses, undefined)
})

test('of a plain value a load is one lookup, and hits on plain keys are told from others by their part', async () => {
  const plain = nodeOf('a', [{}, { hits: 100, misses: 20 }], ['a', 'b', 'c', 'rt:item:k'])
  const { plainShare, ofAllProcesses } = await measuredOf([plain])
  assert.equal(plainShare, 0.75)
  assert.ok(Math.abs(ofAllProcesses!.loads - 20 / 1.5) < 1e-9)
  assert.ok(Math.abs(ofAllProcesses!.plainHits / ofAllProcesses!.hits - 0.75) < 1e-9)
})
