/**
 * The rows of one family as tests, in their short form.
 *
 * A row must keep all that is demanded but what `NOT_YET` says; one that always misses by it and keeps everything must be taken off. What may be the
 * machine's doing is run once more, and all runs count (`repeated-runs.ts`): a miss that the others do not repeat is told, and a row of which
 * nothing was measured is skipped, with the reason.
 */
import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { FAMILIES } from './all-rows.ts'
import { SHORT } from './chaos-plan.ts'
import type { RowVerdict } from './judge.ts'
import { NOT_YET } from './not-yet.ts'
import { decisionOf, kindOf } from './repeated-runs.ts'
import { isMissing, type Row } from './row.ts'
import { ChaosRun } from './row-run.ts'

const LIVE = { timeout: 110_000 }
/** One that keeps by luck what it does not keep by right is not taken off for that. */
const LUCKY_RUNS = 3
/** A file must end within two minutes, on a busy machine too: past this nothing is run once more. */
const REPEATS_WITHIN_MS = 90_000

export function testFamily(name: string): void {
  const rows = FAMILIES[name]
  if (rows === undefined) throw new Error(`chaos: there is no family ${name}`)
  let run: ChaosRun
  let startMs = 0
  let ended = 0
  before(() => {
    run = new ChaosRun(SHORT)
    startMs = performance.now()
  })
  // So that one more leaves time for those that are still to come.
  const mayRepeat = (): boolean => {
    const spentMs = performance.now() - startMs
    const eachMs = spentMs / (ended + 1)
    return spentMs + eachMs * (rows.length - ended) < REPEATS_WITHIN_MS
  }
  after(() => run.close())
  for (const row of rows)
    test(titleOf(row), LIVE, async (t) => {
      await tested(row, run, mayRepeat, t)
      ended++
    })
}

function titleOf({ name, what }: Row): string {
  const notYet = NOT_YET[name]
  return notYet === undefined
    ? `${name}: ${what}, and nobody is failed`
    : `${name}: ${what}; not yet kept: ${Object.keys(notYet.misses).join(', ')}`
}

async function tested(row: Row, run: ChaosRun, mayRepeat: () => boolean, t: TestContext): Promise<void> {
  const notYet = NOT_YET[row.name]
  if (isMissing(row)) {
    assert.ok(notYet !== undefined, `${row.name} is ${row.missing}, and NOT_YET does not say so`)
    return
  }
  const known = notYet?.misses ?? {}
  let verdict = await run.once(row.name)
  t.diagnostic(textOf(verdict))
  const runs = [verdict]
  while (decisionOf(runs, known) === 'again' && mayRepeat()) {
    verdict = await run.once(row.name)
    t.diagnostic(`once more: ${textOf(verdict)}`)
    runs.push(verdict)
  }
  const texts = runs.map(({ why, details }) => [why, ...details].join('\n'))
  const decision = decisionOf(runs, known, false)
  if (decision === 'unmeasured') {
    t.skip(`not measured: ${runs.map(({ why }) => why).join(' | ')}`)
    return
  }
  assert.equal(decision, 'kept', texts.join('\n\n'))
  for (const each of runs) {
    const kind = kindOf(each, known)
    if (kind !== 'kept') t.diagnostic(`${kind} in one of ${runs.length} runs, which the others do not repeat: ${textOf(each)}`)
  }
  if (notYet === undefined || notYet.sometimes === true) return
  for (let tries = 1; verdict.ok && tries < LUCKY_RUNS; tries++) {
    if (!mayRepeat()) return
    verdict = await run.once(row.name)
  }
  assert.equal(verdict.ok, false, `${row.name} keeps everything now: take it off NOT_YET`)
}

function textOf({ requests, failed, p999Ms, recoveryMs, stale, lost, excused, why }: RowVerdict): string {
  const figures = `${failed} of ${requests} failed, p99.9 of hits ${p999Ms ?? '–'} ms, recovered in ${recoveryMs ?? '–'} ms, ${stale} stale, ${lost} lost`
  return `${figures}${excused.length > 0 ? '; the machine was too busy to say more' : ''}${why && `; ${why}`}`
}
