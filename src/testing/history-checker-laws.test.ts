import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Random } from '../clock.ts'
import { History, type Operation } from './history.ts'
import { checkHistory, type HistoryCheck } from './history-checker.ts'
import { violationText } from './history-violations.ts'
import { seededRandom } from './seeded-random.ts'
import { simulatedHistory } from './simulated-register.ts'

const LAG_MS = 20
const RULES: HistoryCheck = { store: true, bounds: { lagging: LAG_MS } }

const registers = fc.record({
  seed: fc.integer(),
  operations: fc.integer({ min: 1, max: 400 }),
  keys: fc.integer({ min: 1, max: 4 }),
  processes: fc.integer({ min: 1, max: 8 }),
  versions: fc.boolean(),
  unknowns: fc.constantFrom(0, 0.1, 0.5),
})

const simulated = ({ seed, ...options }: typeof registers extends fc.Arbitrary<infer T> ? T : never) =>
  simulatedHistory({ ...options, random: seededRandom(seed), lagMs: LAG_MS })

test('a history of a register that is right is never accused, whatever its order of recording', () => {
  fc.assert(
    fc.property(registers, (register) => {
      const history = simulated(register)
      assert.deepEqual(checkHistory(history, RULES).violations.map(violationText), [])
      assert.deepEqual(checkHistory(history.toReversed(), RULES).violations, [])
    }),
    { numRuns: 300 },
  )
})

/** A mistake: the history with it planted, or undefined where this history has no room for it. */
type Mistake = (history: Operation[], random: Random) => Operation[] | undefined

const pick = <T>(items: readonly T[], random: Random): T | undefined => items[Math.floor(random() * items.length)]
const lastMs = (history: readonly Operation[]): number => Math.max(...history.map(({ returnMs }) => returnMs))
const values = (history: readonly Operation[]) =>
  history.filter(({ kind, outcome }) => (kind === 'write' || kind === 'update') && outcome === 'ok')

/** Two acknowledged changes of one key, the second called after the first had returned. */
function inTurn(history: readonly Operation[], random: Random, kinds: readonly string[]): readonly [Operation, Operation] | undefined {
  const first = pick(values(history), random)
  if (first === undefined) return undefined
  const later = history.filter(
    ({ key, kind, outcome, callMs }) => key === first.key && kinds.includes(kind) && outcome === 'ok' && callMs > first.returnMs,
  )
  const second = pick(later, random)
  return second === undefined ? undefined : [first, second]
}

const readLate = (history: readonly Operation[], key: string, value: Operation['value']): Operation => {
  const callMs = lastMs(history) + LAG_MS + 1
  return { process: 99, key, kind: 'read', value, callMs, returnMs: callMs + 1, level: 'lagging', outcome: 'ok' }
}

const mistakes: Readonly<Record<string, readonly [kinds: readonly string[], Mistake]>> = {
  'a value out of nowhere': [
    ['phantom'],
    (history, random) => {
      const read = pick(
        history.filter(({ kind }) => kind === 'read'),
        random,
      )
      return read && history.map((each) => (each === read ? { ...each, value: 'nowhere' } : each))
    },
  ],
  'an old value read': [
    ['stale', 'resurrected'],
    (history, random) => {
      const [old] = inTurn(history, random, ['write', 'update']) ?? []
      return old && [...history, readLate(history, old.key, old.value)]
    },
  ],
  'a deleted value read': [
    ['resurrected', 'stale'],
    (history, random) => {
      const [old] = inTurn(history, random, ['delete']) ?? []
      return old && [...history, readLate(history, old.key, old.value)]
    },
  ],
  'an update from an old value': [
    ['lost-update'],
    (history, random) => {
      const [old] = inTurn(history, random, ['write', 'update']) ?? []
      const callMs = lastMs(history) + LAG_MS + 1
      return (
        old && [
          ...history,
          { process: 99, key: old.key, kind: 'update', from: old.value, value: 'new', callMs, returnMs: callMs + 1, outcome: 'ok' },
        ]
      )
    },
  ],
  'a value lost': [
    ['vanished'],
    (history, random) => {
      const value = pick(values(history), random)
      if (value === undefined) return undefined
      const isAlone = history.every(({ key, kind }) => key !== value.key || kind !== 'delete')
      return isAlone ? [...history, readLate(history, value.key, undefined)] : undefined
    },
  ],
  'an own write not seen': [
    ['session', 'stale', 'resurrected'],
    (history, random) => {
      const [old, own] = inTurn(history, random, ['write', 'update', 'delete']) ?? []
      if (old === undefined || own === undefined) return undefined
      const callMs = own.returnMs + 0.001
      const read = { process: own.process, key: own.key, kind: 'read', value: old.value, callMs, returnMs: callMs + 1 } as const
      return [...history, { ...read, session: own.session, level: 'lagging', outcome: 'ok' }]
    },
  ],
}

for (const [mistake, [kinds, plant]] of Object.entries(mistakes)) {
  test(`planted in a right history, it is always found: ${mistake}`, () => {
    let planted = 0
    fc.assert(
      fc.property(registers, (register) => {
        const history = plant(simulated(register), seededRandom(register.seed + 1))
        if (history === undefined) return
        planted++
        const found = checkHistory(history, RULES).violations.map(({ kind }) => kind)
        assert.ok(
          found.some((kind) => kinds.includes(kind)),
          `found ${found.join(', ') || 'nothing'}`,
        )
      }),
      { numRuns: 200 },
    )
    assert.ok(planted >= 10, `it had room in ${planted} histories only`)
  })
}

test('a million operations are judged in seconds', () => {
  const history = new History()
  const options = { keys: 20, processes: 64, versions: true, unknowns: 0.001, lagMs: LAG_MS, operations: 100_000 }
  const [one] = [simulatedHistory({ ...options, random: seededRandom(1) })]
  const spanMs = lastMs(one) + 1_000
  for (let time = 0; time < 10; time++) {
    for (const each of one) {
      const shifted = (value: Operation['value']) => (value === undefined ? undefined : Number(value) + time * 1_000_000)
      history.add({
        ...each,
        key: `${time} ${each.key}`,
        value: shifted(each.value),
        from: shifted(each.from),
        callMs: each.callMs + time * spanMs,
        returnMs: each.returnMs + time * spanMs,
      })
    }
  }
  const startedMs = performance.now()
  const report = checkHistory(history, RULES)
  const seconds = (performance.now() - startedMs) / 1_000
  assert.deepEqual(report.violations.map(violationText), [])
  assert.equal(report.operations, 1_000_000)
  // A tenth of it on an idle machine; what grew with the square of its size would take minutes.
  assert.ok(seconds < 20, `took ${seconds} s`)
})
