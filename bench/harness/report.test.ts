import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doubtsOf, missedBars, resultsOf, rowsOf, tableOf, verdictsOf } from './report.ts'
import type { Workload } from './workload.ts'

const workload: Workload = {
  name: 'hits-8',
  title: 'hits, 8 in flight',
  unit: 'gets/s',
  inFlight: 8,
  entrants: ['mine', 'mine-wide', 'slow', 'quick'],
  ours: ['mine', 'mine-wide'],
  reference: 'slow',
  bars: { slow: 3, quick: 2 },
  callerOf: () => async () => {},
}
const measures = (...rates: number[]) => rates.map((rate) => ({ rate, cpuUs: 1_000 / rate, cores: rate / 250 }))
const results = resultsOf(
  workload,
  new Map([
    ['mine', measures(300, 320, 310)],
    ['mine-wide', measures(100, 100, 100)],
    ['slow', measures(100, 80, 90)],
    ['quick', measures(200, 210, 190)],
  ]),
)
test('each of ours is a row beside each peer, never beside each other, and bars are for the first alone', () => {
  const rows = rowsOf(workload, results, true)
  assert.deepEqual(
    rows.map(({ name, bar, gated, ours, peer }) => ({ name, bar, gated, ours, peer })),
    [
      { name: 'hits-8/slow', bar: 3, gated: true, ours: 310, peer: 90 },
      { name: 'hits-8/quick', bar: 2, gated: true, ours: 310, peer: 200 },
      { name: 'hits-8/slow (mine-wide)', bar: null, gated: false, ours: 100, peer: 90 },
      { name: 'hits-8/quick (mine-wide)', bar: null, gated: false, ours: 100, peer: 200 },
    ],
  )
  assert.equal(rows[0]!.value, 310 / 90)
  assert.deepEqual(rows[0]!.spread, [3, 4])
})

test('a gated row below its bar is missed, and so is one without a figure', () => {
  const rows = rowsOf(workload, results, true)
  assert.deepEqual(
    missedBars(rows).map(({ name }) => name),
    ['hits-8/quick'],
  )
  assert.equal(missedBars([{ ...rows[0]!, value: Number.NaN }]).length, 1)
  assert.equal(missedBars([{ ...rows[0]!, value: 3 }]).length, 0)
  assert.equal(missedBars([{ ...rows[0]!, bar: 1, value: 1.01, most: true }]).length, 1)
  assert.equal(missedBars([{ ...rows[0]!, bar: 1, value: 1, most: true }]).length, 0)
})

test('in a smoke run nothing is gated', () => {
  const rows = rowsOf(workload, results, false)
  assert.ok(rows.every(({ gated }) => !gated))
  assert.deepEqual(missedBars(rows), [])
  assert.match(verdictsOf(rows), /hits-8\/quick: 1.55 .*needs 2: not judged/)
})

test('who got far less than a core, where it should be the bottleneck, is named', () => {
  assert.deepEqual(doubtsOf({ ...workload, inFlight: 256 }, results), [
    'hits-8: mine-wide got 0.40 of a core: the machine was busy',
    'hits-8: slow got 0.36 of a core: the machine was busy',
  ])
  assert.deepEqual(doubtsOf({ ...workload, inFlight: 1 }, results), [])
})

test('the table and the verdicts show medians, spread, ratios and processor time', () => {
  const table = tableOf(workload, results).split('\n')
  assert.match(table[2]!, /^ {2}mine +310 +300 – 320 +3.44 +3.2 +1.24$/)
  assert.match(table[4]!, /^ {2}slow +90 +80 – 100 +1.00 +11.1 +0.36$/)
  assert.equal(
    verdictsOf(rowsOf(workload, results, true)),
    'hits-8/slow: 3.44 (rounds 3.00 – 4.00), needs 3: met\nhits-8/quick: 1.55 (rounds 1.50 – 1.63), needs 2: MISSED',
  )
})

test('a time is told with its fraction', () => {
  const row = {
    name: 'p99',
    value: 0.575,
    bar: 1,
    most: true,
    gated: true,
    ours: 0.575,
    peer: null,
    unit: 'ms',
    spread: [0.385, 1.95],
  } as const
  assert.equal(verdictsOf([row]), 'p99: 0.575 (rounds 0.385 – 1.95), needs at most 1: met')
  assert.equal(verdictsOf([{ ...row, value: 1.004 }]), 'p99: 1.004 (rounds 0.385 – 1.95), needs at most 1: MISSED')
})
