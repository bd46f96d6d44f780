import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Operation } from './history.ts'
import { checkHistory, type HistoryCheck } from './history-checker.ts'
import { violationText } from './history-violations.ts'

/** An operation on 'k' by process 0 that went well, from `callMs` to `returnMs`. */
const op = (kind: Operation['kind'], callMs: number, returnMs: number, rest: Partial<Operation> = {}): Operation => ({
  process: 0,
  key: 'k',
  kind,
  callMs,
  returnMs,
  outcome: 'ok',
  ...rest,
})
const write = (value: number, callMs: number, returnMs: number, rest: Partial<Operation> = {}) =>
  op('write', callMs, returnMs, { value, ...rest })
const read = (value: number | undefined, callMs: number, returnMs: number, rest: Partial<Operation> = {}) =>
  op('read', callMs, returnMs, { value, ...rest })
const update = (from: number | undefined, value: number, callMs: number, returnMs: number, rest: Partial<Operation> = {}) =>
  op('update', callMs, returnMs, { from, value, ...rest })
const remove = (callMs: number, returnMs: number, rest: Partial<Operation> = {}) => op('delete', callMs, returnMs, rest)

const STORE = { store: true } as const
const unknown = { outcome: 'unknown' } as const

/** The kinds of violation found, in order. */
const kinds = (operations: readonly Operation[], options?: HistoryCheck): string[] =>
  checkHistory(operations, options).violations.map(({ kind }) => kind)

type Case = readonly [fact: string, operations: readonly Operation[], options?: HistoryCheck]

const accused: Readonly<Record<string, readonly Case[]>> = {
  phantom: [
    ['a value that nobody wrote', [read(1, 0, 1)]],
    ['a value read before its write was called', [read(1, 0, 1), write(1, 2, 3)]],
    ['a value whose write is known to have failed', [write(1, 0, 1, { outcome: 'failed' }), read(1, 2, 3)]],
    ['a value of another key', [write(1, 0, 1, { key: 'other' }), read(1, 2, 3)]],
    ['an update derived from what nobody wrote', [update(7, 8, 0, 1)]],
    ['a value that nobody wrote, marked stale though it is', [read(1, 0, 1, { markedStale: true })]],
  ],
  stale: [
    ['an overwritten value, read after the overwriting was acknowledged', [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]],
    ['a value read later past its bound', [write(1, 0, 1), write(2, 2, 3), read(1, 14, 15, { boundMs: 10 })]],
    [
      'a value read later past its level’s bound',
      [write(1, 0, 1), write(2, 2, 3), read(1, 14, 15, { level: 'near' })],
      { bounds: { near: 10 } },
    ],
    ['a concurrent write that is older by version', [write(1, 0, 3, { version: 5n }), write(2, 1, 3, { version: 6n }), read(1, 4, 5)]],
    [
      'a value of unknown outcome, once it was seen and then overwritten',
      [write(1, 0, 9, unknown), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
    ],
    [
      'a value whose version a read has told',
      [write(1, 0, 3), read(1, 1, 3, { version: 5n }), write(2, 0, 3, { version: 6n }), read(1, 4, 5)],
    ],
    ['a value behind an update', [write(1, 0, 1), update(1, 2, 2, 3), read(1, 4, 5)]],
    [
      'a marked value past the bound that marked ones have',
      [write(1, 0, 1), write(2, 2, 3), read(1, 9, 10, { markedStale: true })],
      { markedBoundMs: 5 },
    ],
    [
      'an old value though one that contradicts itself lies between',
      [
        write(1, 0, 1, { version: 5n }),
        remove(0.2, 0.5, { version: 9n }),
        write(2, 2, 3, { version: 7n }),
        write(3, 3.5, 3.8, { version: 8n }),
        read(2, 4, 5),
      ],
    ],
  ],
  resurrected: [
    ['a value read after its delete was acknowledged', [write(1, 0, 1), remove(2, 3), read(1, 4, 5)]],
    [
      'a value deleted by a higher version at the same time',
      [write(1, 0, 3, { version: 5n }), remove(1, 3, { version: 6n }), read(1, 4, 5)],
    ],
    ['a value seen again after nothing was found', [write(1, 0, 1), read(undefined, 2, 3), read(1, 4, 5)]],
    [
      'a value seen again past the bound of who found nothing',
      [write(1, 0, 1), remove(0.5, 13), read(undefined, 12, 13, { boundMs: 10 }), read(1, 14, 15)],
      STORE,
    ],
  ],
  vanished: [
    ['nothing where an acknowledged value is', [write(1, 0, 1), read(undefined, 2, 3)], STORE],
    ['nothing where a later write has overtaken the delete', [remove(0, 1), write(1, 2, 3), read(undefined, 4, 5)], STORE],
    [
      'nothing, where the delete is known to have failed',
      [write(1, 0, 1), remove(2, 3, { outcome: 'failed' }), read(undefined, 4, 5)],
      STORE,
    ],
    [
      'nothing before the delete was called, though a longer read may have seen it',
      [write(1, 0, 1), remove(10, 11), read(undefined, 2, 20), read(undefined, 3, 4)],
      STORE,
    ],
    ['nothing before the delete was called', [write(1, 0, 1), read(undefined, 2, 3), remove(4, 5)], STORE],
    ['nothing past its bound', [remove(0, 1), write(1, 2, 3), read(undefined, 14, 15, { boundMs: 10 })], STORE],
  ],
  'lost-update': [
    ['two updates from one value', [write(1, 0, 1), update(1, 2, 2, 5), update(1, 3, 2, 5)]],
    [
      'two updates from one value, one of them known only by who read it',
      [write(1, 0, 1), update(1, 2, 2, 5, unknown), update(1, 3, 2, 5), read(2, 3, 6)],
    ],
    ['an update built on what an acknowledged one had overtaken', [write(1, 0, 1), write(2, 2, 3), update(1, 3, 4, 5)]],
    ['an update built on what was deleted', [write(1, 0, 1), remove(2, 3), update(1, 3, 4, 5)]],
    [
      'an update passed over by version, though at the same time',
      [
        write(1, 0, 9, { version: 1n }),
        write(2, 0, 9, { version: 2n }),
        update(2, 3, 2, 9, { version: 3n }),
        update(1, 4, 2, 9, { version: 4n }),
      ],
    ],
    [
      'a plain write passed over by version, where a store orders',
      [write(1, 0, 1, { version: 1n }), write(2, 2, 9, { version: 2n }), update(1, 3, 2, 9, { version: 3n })],
      STORE,
    ],
    ['two updates from nothing', [update(undefined, 1, 0, 3), update(undefined, 2, 0, 3)], STORE],
    ['an update from nothing where an acknowledged value is', [write(1, 0, 1), update(undefined, 2, 2, 3)], STORE],
  ],
  session: [
    [
      'an own write not read within the bound of others',
      [write(1, 0, 1), write(2, 2, 3, { session: 's' }), read(1, 4, 5, { session: 's', boundMs: 10 })],
    ],
    ['an own delete not seen', [write(1, 0, 1), remove(2, 3, { session: 's' }), read(1, 4, 5, { session: 's', boundMs: 10 })]],
    [
      'nothing found where an own write is',
      [write(2, 2, 3, { session: 's' }), read(undefined, 4, 5, { session: 's', boundMs: 10 })],
      STORE,
    ],
  ],
}

for (const [kind, cases] of Object.entries(accused)) {
  for (const [fact, operations, options] of cases) {
    test(`${kind} is found: ${fact}`, () => {
      assert.deepEqual(kinds(operations, options), [kind])
      assert.deepEqual(kinds(operations.toReversed(), options), [kind])
    })
  }
}

const acquitted: readonly Case[] = [
  ['nothing at all', []],
  ['a value read while its write is under way', [write(1, 0, 9), read(1, 1, 2)]],
  ['a value whose write has an unknown outcome, long after', [write(1, 0, 1, unknown), read(1, 90, 91)]],
  ['the old value while the new one is under way', [write(1, 0, 1), write(2, 2, 9), read(1, 4, 5), read(2, 4, 5), read(1, 4, 8)]],
  ['the old value, read by who called before the new one was acknowledged', [write(1, 0, 1), write(2, 2, 4), read(1, 3, 9)]],
  ['the old value within its bound', [write(1, 0, 1), write(2, 2, 3), read(1, 12, 13, { boundMs: 10 })]],
  ['either of two concurrent writes without versions', [write(1, 0, 3), write(2, 1, 3), read(1, 4, 5), read(2, 6, 7), read(1, 8, 9)]],
  [
    'the higher version, though the lower was acknowledged last',
    [write(1, 0, 2, { version: 9n }), write(2, 1, 3, { version: 5n }), read(1, 4, 5)],
  ],
  [
    'an older value, where only a write of unknown outcome came after',
    [write(1, 0, 1), write(2, 2, 3, unknown), read(1, 4, 5), read(2, 6, 7)],
  ],
  ['a failed write that nobody saw', [write(1, 0, 1), write(2, 2, 3, { outcome: 'failed' }), read(1, 4, 5)]],
  ['a failed read', [read(9, 0, 1, { outcome: 'failed' }), read(8, 0, 1, { outcome: 'unknown' })]],
  ['a late write of unknown outcome', [write(1, 0, 1, unknown), write(2, 2, 3), read(2, 4, 5), read(1, 6, 7)]],
  ['a value while its delete is under way, and nothing', [write(1, 0, 1), remove(2, 9), read(1, 3, 4), read(undefined, 3, 5)], STORE],
  ['a value after a delete of unknown outcome', [write(1, 0, 1), remove(2, 3, unknown), read(1, 4, 5), read(undefined, 6, 7)], STORE],
  ['a new value after a delete', [write(1, 0, 1), remove(2, 3), write(2, 4, 5), read(2, 6, 7)], STORE],
  ['nothing before the first write', [read(undefined, 0, 1), write(1, 2, 3)], STORE],
  ['nothing in a cache that may forget', [write(1, 0, 1), read(undefined, 2, 3)]],
  ['a new value after an absence', [write(1, 0, 1), read(undefined, 2, 3), write(2, 4, 5), read(2, 6, 7)]],
  ['a value seen after an absence that began before it was acknowledged', [write(1, 0, 3), read(undefined, 2, 4), read(1, 5, 6)], STORE],
  ['a value seen again while its delete is under way', [write(1, 0, 1), remove(2, 9), read(undefined, 3, 4), read(1, 5, 6)], STORE],
  ['a value seen again, where forgetting may pass', [write(1, 0, 1), read(undefined, 2, 3), read(1, 4, 5)], { absenceIsFinal: false }],
  ['a value seen after an old absence within its bound', [write(1, 0, 1), read(undefined, 2, 3, { boundMs: 10 }), read(1, 4, 5)], STORE],
  ['what is marked stale, however old', [write(1, 0, 1), write(2, 2, 3), read(1, 900, 901, { markedStale: true, session: 's' })]],
  ['updates that build on each other', [update(undefined, 1, 0, 1), update(1, 2, 2, 9), update(2, 3, 2, 9), read(3, 10, 11)], STORE],
  ['an update from a value that another failed to update', [write(1, 0, 1), update(1, 2, 2, 3, { outcome: 'failed' }), update(1, 3, 4, 5)]],
  ['an update from a value that another may have updated', [write(1, 0, 1), update(1, 2, 2, 3, unknown), update(1, 3, 4, 5)]],
  ['updates from nothing, a delete between', [update(undefined, 1, 0, 1), remove(2, 3), update(undefined, 2, 4, 5)], STORE],
  ['updates from nothing in a cache that may forget', [update(undefined, 1, 0, 1), update(undefined, 2, 2, 3)]],
  [
    'a plain write overtaken on its way, where no store orders',
    [write(1, 0, 1, { version: 1n }), write(2, 2, 9, { version: 2n }), update(1, 3, 2, 9, { version: 3n })],
  ],
  ['a session that reads what another wrote after it', [write(1, 0, 1, { session: 's' }), write(2, 2, 3), read(2, 4, 5, { session: 's' })]],
  [
    'another session’s old read within its bound',
    [write(1, 0, 1), write(2, 2, 3, { session: 's' }), read(1, 4, 5, { session: 't', boundMs: 10 })],
  ],
  [
    'order that time and version tell differently',
    [write(1, 0, 1, { version: 9n }), write(2, 2, 3, { version: 5n }), read(1, 4, 5), read(2, 6, 7)],
  ],
  ['writes too close to each other to be ordered', [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)], { orderSlackMs: 2 }],
  ['the same times on two keys', [write(1, 0, 1), write(2, 2, 3, { key: 'other' }), read(1, 4, 5)]],
]

for (const [fact, operations, options] of acquitted) {
  test(`no violation: ${fact}`, () => {
    assert.deepEqual(checkHistory(operations, options).violations.map(violationText), [])
    assert.deepEqual(kinds(operations.toReversed(), options), [])
  })
}

test('a violation names the key, the operations and how long after what it came', () => {
  const [violation] = checkHistory([write(1, 0, 1), write(2, 2, 3), read(1, 4.5, 5, { process: 7, level: 'primary' })]).violations
  assert.equal(violation!.key, 'k')
  assert.deepEqual(
    violation!.operations.map(({ kind, value }) => [kind, value]),
    [
      ['read', 1],
      ['write', 1],
      ['write', 2],
    ],
  )
  const text = violationText(violation!)
  assert.match(text, /stale of 'k': a read returned 1, but 2 had been acknowledged 1\.5 ms before it was called; its bound is 0 ms/)
  assert.match(text, /process 7: read → 1, 4\.500 to 5\.000 ms, ok, level primary/)
})

test('of many violations the first are kept and all are counted', () => {
  const report = checkHistory(
    Array.from({ length: 50 }, (_, n) => read(n, 0, 1)),
    { maxViolations: 3 },
  )
  assert.equal(report.violations.length, 3)
  assert.equal(report.counts.phantom, 50)
  assert.equal(report.operations, 50)
  assert.equal(report.keys, 1)
})

test('two writes of one value, times that run backwards and options that there are not are refused', () => {
  assert.throws(() => checkHistory([write(1, 0, 1), write(1, 2, 3)]), /needs one that no other write has, but got: 1/)
  assert.throws(() => checkHistory([read(1, 2, 1)]), /needs a time not before its callMs/)
  assert.throws(() => checkHistory([], { stoer: true } as HistoryCheck), /needs options among/)
})
