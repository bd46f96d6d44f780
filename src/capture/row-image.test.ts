import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReplicatedRelation } from './pg-client.ts'
import { rowOf, valueIn } from './row-image.ts'

/** @param types `pg_type.oid` by column */
function relation(types: Readonly<Record<string, number>>): ReplicatedRelation {
  const columns = Object.entries(types).map(([name, typeOid]) => ({ name, typeOid, flags: 0, parser: String }))
  return { relationOid: 1, schema: 'public', name: 'items', columns }
}

const shop = relation({ id: 20, name: 25, price: 1700, sold: 16, tags: 3802, since: 1184, on: 1082, at: 1114, ratio: 701 })
const texts = {
  id: '7',
  name: 'tea',
  price: '1.50',
  sold: 'f',
  tags: '["a"]',
  since: '2026-01-01 00:00:00+00',
  on: '2026-01-02',
  at: '2026-01-02 03:04:05',
  ratio: '0.5',
}

test('a value spread over columns is what a store would load: numbers, booleans, JSON, and times as ISO has them', () => {
  const columns = {
    id: 'bigint',
    title: { type: 'text', column: 'name' },
    price: 'numeric',
    sold: 'boolean',
    tags: 'jsonb',
    on: 'date',
    at: 'timestamp',
    ratio: 'float8',
  }
  const made = valueIn(texts, shop, { columns })
  assert.deepEqual(made, {
    value: { id: 7, title: 'tea', price: 1.5, sold: false, tags: ['a'], on: '2026-01-02', at: '2026-01-02T03:04:05', ratio: 0.5 },
  })
})

test('a column loaded as text stays the text that it is', () => {
  assert.deepEqual(valueIn(texts, shop, { columns: { price: { type: 'numeric', as: 'text' } } }), { value: { price: '1.50' } })
})

test('a document is the value itself, null too', () => {
  assert.deepEqual(valueIn(texts, shop, { value: 'tags' }), { value: ['a'] })
  assert.deepEqual(valueIn({ tags: null }, shop, { value: 'tags' }), { value: null })
})

test('where it is not certain what a store would load, no value is made', () => {
  assert.equal(valueIn(texts, shop, { columns: { since: 'timestamptz' } }), undefined, 'its text depends on the zone of a session')
  assert.equal(valueIn({ ...texts, tags: undefined }, shop, { value: 'tags' }), undefined, 'large and unchanged')
  assert.equal(valueIn(texts, shop, { value: 'missing' }), undefined)
  assert.equal(valueIn({ ratio: 'NaN' }, shop, { columns: { ratio: 'float8' } }), undefined)
  assert.equal(valueIn(texts, shop, { columns: { sold: { type: 'boolean', as: 'text' } } }), undefined)
})

test('a row for the functions of a caller has what the log tells, and not what it leaves out', () => {
  const row = rowOf({ ...texts, name: null, tags: undefined }, shop.columns)
  assert.deepEqual(
    { ...row },
    {
      id: 7,
      name: null,
      price: 1.5,
      sold: false,
      since: '2026-01-01 00:00:00+00',
      on: '2026-01-02',
      at: '2026-01-02T03:04:05',
      ratio: 0.5,
    },
  )
})
