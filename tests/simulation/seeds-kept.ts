/**
 * The seeds of the test command, as a test: in thirds, each in a file and so in a process of its own, for a file's time is bounded.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LEAST } from './plan.ts'
import { failureText } from './report.ts'
import { type Outcome, runSeed } from './simulation.ts'

/** Seeds that the test command runs; `npm run simulate` runs as many as one likes. */
export const TESTED_SEEDS = 300

/** @param first of the seeds, which are `count` */
export function testSeeds(first: number, count: number): void {
  test(`seeds ${first} to ${first + count - 1} break no promise, whatever fails`, async (t) => {
    const startCpu = process.cpuUsage()
    const failed: Outcome[] = []
    let judged = 0
    for (let seed = first; seed < first + count; seed++) {
      const outcome = await runSeed(seed)
      judged += outcome.judged
      if (outcome.violations.length > 0) failed.push(outcome)
    }
    const { user, system } = process.cpuUsage(startCpu)
    t.diagnostic(`${judged} reads and writes judged; ${((count * 60e6) / (user + system)).toFixed(0)} seeds a minute of one core`)
    assert.equal(failed.length, 0, failed.map((outcome) => failureText(outcome)).join('\n'))
    assert.ok(judged > count * LEAST.operations, 'most operations are judged')
  })
}
