import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RowChange } from '../strategy/strategy.ts'
import type { CapturedCache, CapturedTableOptions } from './capture.ts'
import { CapturedTable } from './captured-table.ts'
import type { ReplicatedRelation } from './pg-client.ts'

const cache: CapturedCache = { name: 'items', applyChanges: async () => new Map(), deleteByTag: async () => {}, clear: async () => {} }
const columns = ['key', 'value', 'version'].map((name, at) => ({ name, typeOid: [25, 3802, 20][at]!, flags: 0, parser: String }))
const relation: ReplicatedRelation = { relationOid: 1, schema: 'public', name: 'items', columns }
const soon = 1_000

function tableOf(options: Partial<CapturedTableOptions> = {}): CapturedTable {
  const table = new CapturedTable({ table: 'items', cache, ...options }, 'captureChanges: tables[0]')
  table.rising = true
  return table
}

/** What a change says, without what is the same in all. */
const brief = ({ key, op, version, row }: RowChange<unknown>) => [key, op, version, row?.value]
const row = (key: string, n: number, version: string | null = String(n)) => ({ key, value: `{"n":${n}}`, version })

test('an insert, an update and a delete are one change each, of the version that the log tells', () => {
  const table = tableOf()
  const of = (message: Parameters<CapturedTable['changeOf']>[0]) => table.changeOf(message, soon).changes.map(brief)
  assert.deepEqual(of({ tag: 'insert', relation, new: row('a', 1) }), [['a', 'insert', 1n, undefined]])
  assert.deepEqual(of({ tag: 'update', relation, key: null, old: null, new: row('a', 2) }), [['a', 'update', 2n, undefined]])
  assert.deepEqual(of({ tag: 'delete', relation, key: { key: 'a' }, old: null }), [['a', 'delete', undefined, undefined]])
  assert.deepEqual(of({ tag: 'delete', relation, key: null, old: row('a', 3) }), [['a', 'delete', 3n, undefined]])
})

test('a row that changes its key is a delete under the old and an insert under the new', () => {
  const message = { tag: 'update', relation, key: { key: 'a' }, old: null, new: row('b', 2) } as const
  assert.deepEqual(tableOf().changeOf(message, soon).changes.map(brief), [
    ['a', 'delete', undefined, undefined],
    ['b', 'insert', 2n, undefined],
  ])
  const same = { ...message, key: null, old: row('b', 1) }
  assert.deepEqual(tableOf().changeOf(same, soon).changes.map(brief), [['b', 'update', 2n, undefined]])
})

test('a refresh carries the value, unless versions do not rise, or the value is not whole', () => {
  const message = { tag: 'update', relation, key: null, old: null, new: row('a', 2) } as const
  const table = tableOf({ apply: 'refresh' })
  assert.deepEqual(table.changeOf(message, soon).changes.map(brief), [['a', 'update', 2n, { n: 2 }]])
  assert.deepEqual(table.changeOf({ ...message, new: { ...message.new, value: undefined } }, soon).changes.map(brief), [
    ['a', 'update', 2n, undefined],
  ])
  table.rising = false
  assert.deepEqual(table.changeOf(message, soon).changes.map(brief), [['a', 'update', 2n, undefined]])
})

test('a row without a version is of none that is known; one from before there were versions is of 1', () => {
  const versionOf = (version: string | null) =>
    tableOf().changeOf({ tag: 'insert', relation, new: row('a', 1, version) }, soon).changes[0]!.version
  assert.deepEqual([versionOf(null), versionOf('0'), versionOf('-3')], [undefined, 1n, 1n])
})

test('keys of the caller’s own are of the row as it was and as it is, and of no version', () => {
  const table = tableOf({ keys: ({ value }) => [`page:${(value as { n: number }).n}`] })
  const { changes } = table.changeOf({ tag: 'update', relation, key: null, old: row('a', 1), new: row('a', 2) }, soon)
  assert.deepEqual(changes.map(brief), [
    ['page:2', 'update', undefined, undefined],
    ['page:1', 'update', undefined, undefined],
  ])
  assert.ok(changes.every(({ rising }) => !rising))
})

test('a function of the caller’s that throws is named, and so is what is no key', () => {
  const message = { tag: 'insert', relation, new: row('a', 1) } as const
  const thrower = () => {
    throw new TypeError('no')
  }
  assert.throws(() => tableOf({ tags: thrower }).changeOf(message, soon), { code: 'CONFIGURATION', message: /tags of table 'items'/ })
  assert.throws(() => tableOf({ keys: () => [7] as never }).changeOf(message, soon), {
    code: 'CONFIGURATION',
    message: /keys of table 'items'/,
  })
})

test('to refresh what has no versions, or other keys, is refused', () => {
  assert.throws(() => tableOf({ apply: 'refresh', version: false }), { code: 'CONFIGURATION' })
  assert.throws(() => tableOf({ apply: 'refresh', keys: () => 'a' }), { code: 'CONFIGURATION' })
  assert.throws(() => tableOf({ apply: 'replace' as never }), { code: 'CONFIGURATION' })
})

test('a tag that no value can have is passed over, and what is none is told of by its type alone', () => {
  const message = { tag: 'insert', relation, new: row('a', 1) } as const
  const said = (tags: unknown) => tableOf({ tags: () => tags as never }).changeOf(message, soon).tags
  assert.deepEqual(said(['ok', '', 'x'.repeat(257), '\ud800', 'é'.repeat(129), 'x'.repeat(256)]), ['ok', 'x'.repeat(256)])
  assert.deepEqual(said(undefined), [])
  for (const wrong of [['secret', 7], 'secret'])
    assert.throws(
      () => said(wrong),
      ({ code, message }) => code === 'CONFIGURATION' && /tags of table 'items'/.test(message) && !message.includes('secret'),
    )
})

test('a key of char(n) is without the blanks that fill it up', () => {
  const padded = { ...relation, columns: columns.map((column) => (column.name === 'key' ? { ...column, typeOid: 1042 } : column)) }
  const { changes } = tableOf().changeOf({ tag: 'insert', relation: padded, new: row('a  ', 1) }, soon)
  assert.deepEqual(changes.map(brief), [['a', 'insert', 1n, undefined]])
  assert.deepEqual(tableOf().changeOf({ tag: 'insert', relation, new: row('a  ', 1) }, soon).changes[0]!.key, 'a  ')
})

test('a cache that cannot be cleared is refused', () => {
  assert.throws(() => tableOf({ cache: { ...cache, isPlain: true } }), {
    code: 'CONFIGURATION',
    message: /can be cleared.*'items', of plain keys/,
  })
})
