/**
 * The rows of load, of the ring and of a process in virtual time: judged by the judge of the real rows, and each judged wrong where it should be.
 */
import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { rowOf } from './chaos/all-rows.ts'
import { type FaultRow, isMissing } from './chaos/row.ts'
import type { SimulatedFault } from './chaos/simulated-fault.ts'
import { SIMULATED_FAULTS, type SimulatedFaultName } from './chaos/simulated-faults.ts'
import type { SimulatedMistake } from './chaos/simulated-ground.ts'
import { SIMULATED_MISTAKES } from './chaos/simulated-mistakes.ts'
import { type SimulatedRowVerdict, simulatedRow } from './chaos/simulated-run.ts'

const SEEDS = 3
const FIRST_SEED = 9_001
const LIMIT = { timeout: 60_000 }

function verdictOf(name: SimulatedFaultName, seed: number, mistake?: SimulatedMistake): Promise<SimulatedRowVerdict> {
  const fault: SimulatedFault = SIMULATED_FAULTS[name]
  return simulatedRow(faultRow(name), fault, seed, mistake)
}

function faultRow(name: SimulatedFaultName): FaultRow {
  const row = rowOf(name)
  if (isMissing(row)) throw new Error(`${name}: ${row.missing}`)
  return row
}

for (const name of Object.keys(SIMULATED_FAULTS) as SimulatedFaultName[]) {
  test(`${name}: simulated nodes give the verdict of real ones, on ${SEEDS} seeds`, LIMIT, async (t) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      // What stands in NOT_YET of these is the doing of a machine that is busy, which a simulated one never is.
      const { missed, why, beyond, requests, recoveryMs } = await verdictOf(name, seed)
      assert.deepEqual([missed, beyond], [[], []], `seed ${seed}: ${why}`)
      t.diagnostic(`seed ${seed}: none of ${requests} requests failed, recovered in ${recoveryMs ?? 0} ms`)
    }
  })
}

describe('a planted mistake is found', () => {
  for (const [what, { mistake, found }] of Object.entries(SIMULATED_MISTAKES)) {
    for (const name of new Set(found.map(([row]) => row)))
      it(`${what}: by ${name}`, LIMIT, async () => {
        const { missed, beyond, why } = await verdictOf(name, FIRST_SEED, mistake)
        for (const [row, by] of found) {
          if (row !== name) continue
          const isFound = by instanceof RegExp ? beyond.some((text) => by.test(text)) : missed.includes(by)
          assert.ok(isFound, `${by} was kept: ${why}`)
        }
      })
  }
})

test('one seed is one run, a killed process and its journal included', LIMIT, async () => {
  const hashes = []
  for (const seed of [FIRST_SEED, FIRST_SEED, FIRST_SEED + 1])
    hashes.push((await verdictOf('process-killed-with-writes-pending', seed)).hash)
  assert.equal(hashes[0], hashes[1])
  assert.notEqual(hashes[0], hashes[2])
})
