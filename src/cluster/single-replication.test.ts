import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { versionOf } from '../codec/envelope.ts'
import { UnacknowledgedError } from '../errors.ts'
import type { Change, Status } from '../node/node.ts'
import { type RiggedNode, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched, Replicated, WriteLevel } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000
const change = (key: string): Change => ({ op: 'put', key, bytes: riggedEntry({ ms: NOW_MS }), ttlMs: 1_000 })
const puts = (cluster: RingCluster, key: string, level: WriteLevel, deadlineMs?: number) =>
  new Promise<Replicated>((resolve) => cluster.put(change(key), level, resolve, { deadlineMs }))

test('a put reaches all owners of its key and no other node, with the time of the whole call', async () => {
  const { nodes, cluster } = rigCluster()
  assert.deepEqual(await puts(cluster, 'k3', 'all'), { state: 'applied' })
  await puts(cluster, 'k3', 'all', 80)
  assert.deepEqual(
    nodes.map((node) => node.timeouts),
    [[250, 80], [], [], [250, 80], [250, 80]],
  )
})

const fates = fc.tuple(...Array.from({ length: 3 }, () => fc.constantFrom('applied', 'newer 7', 'newer 9', 'failed', 'unknown')))

test('a put is decided as a batch of one change is, whatever owners say and in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fates,
      fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
      fc.constantFrom<WriteLevel[]>('one', 'quorum', 'all'),
      async (owners, order, level) => {
        const { nodes, cluster, events } = rigCluster()
        const network: NonNullable<RiggedNode['network']> = []
        for (const [nth, fate] of owners.entries()) nodes[nth]!.status = statusOf(fate, nodes[nth]!)
        for (const node of nodes) node.network = network
        const settled: Replicated[] = []
        cluster.put(change('k0'), level, (replicated) => settled.push(replicated))
        const heard: string[] = []
        let expected: Replicated['state'] | undefined
        for (const nth of order) {
          network[nth]!.deliver()
          heard[nth] = owners[nth]!
          expected ??= decisionOf(heard, level)
          assert.equal(settled[0]?.state, expected, `after ${heard}`)
        }
        assert.equal(settled.length, 1)
        if (settled[0]!.state === 'unacknowledged') assert.ok(settled[0]!.error instanceof UnacknowledgedError)
        const failed = owners.filter((fate) => fate === 'failed' || fate === 'unknown').length
        assert.equal(events.filter(({ name }) => name === 'write:missed').length, failed)
      },
    ),
    { numRuns: 500 },
  )
})

test('of several newer versions that owners hold, the newest is told', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.status = { state: 'refused', version: 9n }
  nodes[2]!.status = { state: 'refused', version: 7n }
  assert.deepEqual(await puts(cluster, 'k0', 'quorum'), { state: 'refused', version: 9n, byPrimary: true, unseen: true })
})

test('what fewer owners refused than the level needs may have been seen, though the first is among them', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.status = { state: 'refused', version: 9n }
  for (const level of ['quorum', 'all'] as const) {
    assert.deepEqual(await puts(cluster, 'k0', level), { state: 'refused', version: 9n, byPrimary: true })
    assert.deepEqual(await cluster.replicate([change('k0')], level), [{ state: 'refused', version: 9n, byPrimary: true }])
  }
  assert.deepEqual(await puts(cluster, 'k0', 'one'), { state: 'refused', version: 9n, byPrimary: true, unseen: true })
})

/** What the contract of write levels says, from the answers so far. */
function decisionOf(heard: readonly string[], level: WriteLevel): Replicated['state'] | undefined {
  const failed = (fate: string | undefined): boolean => fate === 'failed' || fate === 'unknown'
  const held = [0, 1, 2].filter((nth) => heard[nth] !== undefined && !failed(heard[nth]))
  const needed = { one: 1, quorum: 2, all: 3 }[level]
  const lost = [0, 1, 2].filter((nth) => failed(heard[nth])).length
  if (lost > 3 - needed) return 'unacknowledged'
  const refusals = held.filter((nth) => heard[nth]!.startsWith('newer')).length
  if (held.length < needed || ((level !== 'one' || refusals > 0) && heard[0] === undefined)) return undefined
  if (heard[0]?.startsWith('newer') && refusals < needed && held.length + lost < 3) return undefined
  return refusals > 0 ? 'refused' : 'applied'
}

function statusOf(fate: string, node: RiggedNode): Status {
  if (fate === 'applied') return { state: 'applied' }
  if (fate.startsWith('newer')) return { state: 'refused', version: BigInt(fate.slice(6)) }
  return { state: fate as 'failed' | 'unknown', error: node.refusal }
}

const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('put' as const), ms: fc.nat({ max: 50 }) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'read' as const }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('carry' as const), pick: fc.nat(), fails: fc.boolean(), applied: fc.boolean() }) },
)

test('a read at quorum sees each write that a quorum acknowledged before it, under any one failed owner and any order of messages', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(2, 3, 4, 5),
      fc.nat({ max: 4 }),
      fc.array(step, { minLength: 10, maxLength: 120 }),
      async (replicas, faulty, steps) => {
        const { nodes, cluster } = rigCluster({ replicas })
        const network: NonNullable<RiggedNode['network']> = []
        for (const node of nodes) node.network = network
        let acknowledged = 0n
        const carry = (pick: number, fails: boolean, applied: boolean): void => {
          const [message] = network.splice(pick % network.length, 1)
          if (fails && message!.node === nodes[faulty % replicas]) message!.lose(applied)
          else message!.deliver()
        }
        const read = (): void => {
          const seenBefore = acknowledged
          cluster.fetch('k0', (fetched) => assertSees(fetched, seenBefore, replicas > 2), { read: 'quorum' })
        }
        for (const [nth, each] of steps.entries()) {
          if (each.do === 'put') {
            const bytes = riggedEntry({ ms: NOW_MS - each.ms, counter: nth, ttlMs: 1_000_000 })
            const settle = (replicated: Replicated): void => {
              if (replicated.state === 'applied' && versionOf(bytes) > acknowledged) acknowledged = versionOf(bytes)
            }
            cluster.put({ op: 'put', key: 'k0', bytes, ttlMs: 1_000_000 }, 'quorum', settle)
          } else if (each.do === 'read') read()
          else if (network.length > 0) carry(each.pick, each.fails, each.applied)
        }
        read()
        while (network.length > 0) carry(0, true, false)
      },
    ),
    { numRuns: 500 },
  )
})

function assertSees(fetched: Fetched, version: bigint, mustAnswer: boolean): void {
  if (fetched.failure !== undefined) assert.equal(mustAnswer, false, 'one failed owner is no reason not to answer')
  else if (version > 0n) assert.ok(fetched.bytes !== undefined && versionOf(fetched.bytes) >= version)
}
