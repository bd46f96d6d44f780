/**
 * A ring that changes while something is not as it should be: whatever that is, what was written is there afterwards, or the change is not made.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChangeProgress } from '../src/index.ts'
import { type Process, RingFleet } from './support/ring-fleet.ts'

const KEYS = 300
const keyOf = (nth: number): string => `k${nth}`

/** Entries that are so old that read repair would not bring them to a node that lacks them. */
async function aged(options: Parameters<typeof RingFleet.start>[0] = {}) {
  const fleet = await RingFleet.start(options)
  const [a, b] = fleet.processes as [Process, Process]
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(a.cache.set(keyOf(nth), nth), 0)
  await fleet.clock.advance(200_000)
  return { fleet, a, b }
}

async function lostOf(fleet: RingFleet, { cache }: Process): Promise<number> {
  let lost = 0
  for (let nth = 0; nth < KEYS; nth++) if ((await fleet.until(cache.get(keyOf(nth)), 0)) !== nth) lost++
  return lost
}

async function ended(fleet: RingFleet): Promise<void> {
  await fleet.close()
  assert.equal(fleet.clock.pendingTimers, 0)
}

for (const [replicas, unwalked] of [
  [1, ['n1']],
  [3, ['n1', 'n2', 'n3']],
] as const) {
  for (const at of ['copying', 'checking'] as const) {
    test(`live nodes that cannot be looked through while ${at} end the change, at ${replicas} replicas, and nothing is lost`, async () => {
      const { fleet, a, b } = await aged({ replicas })
      let isOn = false
      let isOver = false
      for (const id of unwalked) a.way(id).mishaps.script(({ operation }) => (isOn && operation === 'scan' ? 'fail' : undefined))
      const onProgress = ({ step }: ChangeProgress): void => {
        // Going back from the switch takes the same steps: by then they can be.
        isOver ||= isOn && step !== at
        isOn = step === at && !isOver
      }
      const add = ['n5', 'n6', 'n7'].map((id) => a.way(id))
      await assert.rejects(fleet.until(a.tier.changeRing({ add }, { onProgress })), { reason: 'unreachable', message: /no end of node n1/ })
      assert.deepEqual([b.tier.topology().phase, b.tier.topology().members.length], ['settled', 4])
      assert.equal(await lostOf(fleet, b), 0)
      await ended(fleet)
    })
  }
}
