import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../testing/seeded-random.ts'
import type { Staleness } from './consistency.ts'
import type { Sight } from './looker.ts'
import { Suspicions } from './suspicions.ts'

interface Seen {
  readonly version?: bigint
  readonly begun?: number
  readonly staleness?: Staleness
  readonly rowMark?: string
  readonly wire?: string
}

const sight = ({ version = 1n, begun = 0, staleness = 'overtaken', rowMark = '5', wire = 'k' }: Seen = {}): Sight => ({
  key: wire,
  wire,
  node: 'a',
  isPrimary: true,
  state: 'wrong',
  fault: { staleness, newer: 5n },
  copy: { kind: 'value', version, begun, served: true, isRowsValue: undefined },
  rowMark,
})
const make = (rechecks = 3) => new Suspicions({ boundMs: 1_000, rechecks, random: seededRandom(1) })

test('a copy is proven by the looks asked for, the first a bound after it was known to be wrong', () => {
  const suspicions = make()
  assert.equal(suspicions.wrong(sight(), 0, 10).state, 'open')
  // Asked before the bound was over, however often: it proves nothing.
  for (let ms = 100; ms < 1_010; ms += 100) assert.equal(suspicions.wrong(sight(), ms, ms + 10).state, 'open')
  assert.equal(suspicions.wrong(sight(), 1_009, 1_500).state, 'open')
  assert.equal(suspicions.wrong(sight(), 1_010, 1_020).state, 'open')
  assert.equal(suspicions.wrong(sight(), 1_300, 1_310).state, 'open')
  assert.deepEqual(suspicions.wrong(sight(), 1_700, 1_710), { state: 'proven', ageMs: 1_690 })
  assert.equal(suspicions.size, 0)
})

test('another entry in its place starts the time anew, and so does another fault', () => {
  for (const next of [{ version: 2n }, { begun: 1 }, { staleness: 'deleted' as const }]) {
    const suspicions = make(1)
    suspicions.wrong(sight(), 0, 0)
    assert.equal(suspicions.wrong(sight(next), 1_500, 1_500).state, 'open')
    assert.equal(suspicions.wrong(sight(next), 2_400, 2_400).state, 'open')
    assert.equal(suspicions.wrong(sight(next), 2_500, 2_500).state, 'proven')
  }
})

test('a row that goes on changing excuses no copy below it, but one that hides it or differs from it', () => {
  const overtaken = make(1)
  overtaken.wrong(sight({ rowMark: '5' }), 0, 0)
  assert.equal(overtaken.wrong(sight({ rowMark: '6' }), 1_000, 1_000).state, 'proven')
  for (const staleness of ['hidden', 'different'] as const) {
    const suspicions = make(1)
    suspicions.wrong(sight({ staleness, rowMark: '5' }), 0, 0)
    assert.equal(suspicions.wrong(sight({ staleness, rowMark: '6' }), 1_000, 1_000).state, 'open')
    assert.equal(suspicions.wrong(sight({ staleness, rowMark: '6' }), 2_000, 2_000).state, 'proven')
  }
})

test('the first look again is due after the bound and up to a quarter more, later ones after a quarter to a half', () => {
  for (let seed = 0; seed < 20; seed++) {
    const suspicions = new Suspicions({ boundMs: 1_000, rechecks: 3, random: seededRandom(seed) })
    suspicions.wrong(sight(), 0, 0)
    const first = suspicions.nextDueMs!
    assert.ok(first >= 1_000 && first <= 1_250, `${first}`)
    suspicions.wrong(sight(), first, first)
    const later = suspicions.nextDueMs! - first
    assert.ok(later >= 250 && later <= 500, `${later}`)
  }
})

test('what is right again is forgotten, and what cannot be judged is given up after thirty looks', () => {
  const suspicions = make()
  suspicions.wrong(sight(), 0, 0)
  suspicions.settle(sight())
  assert.equal(suspicions.size, 0)
  suspicions.wrong(sight(), 0, 0)
  let looks = 1
  while (suspicions.unjudged(sight(), 1_000).state === 'open') looks++
  assert.equal(looks, 30)
  assert.equal(suspicions.size, 0)
})

test('a thousand copies are in doubt at a time, and what is beyond is said', () => {
  const suspicions = make()
  for (let nth = 0; nth < 1_000; nth++) assert.equal(suspicions.wrong(sight({ wire: `k${nth}` }), 0, 0).state, 'open')
  assert.equal(suspicions.wrong(sight({ wire: 'one more' }), 0, 0).state, 'full')
  assert.equal(suspicions.size, 1_000)
  assert.equal(suspicions.due(2_000, 128).length, 128)
})
