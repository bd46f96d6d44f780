import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { postgresReader } from './postgres-reader.ts'
import { type PostgresStoreOptions, postgresStore } from './postgres-store.ts'
import { PostgresTable, type PostgresTableOptions, postgresRemovalsTable, postgresTable, postgresVersionTrigger } from './postgres-table.ts'

test('the table is told as DDL', () => {
  assert.equal(
    postgresTable({
      table: 'shop.products',
      key: 'sku',
      columns: { sku: 'text', priceCents: { column: 'price_cents', type: 'int' }, attributes: 'jsonb' },
    }),
    `create table if not exists "shop"."products" (
  "sku" text primary key,
  "price_cents" int,
  "attributes" jsonb,
  "version" bigint not null default 1
)`,
  )
  assert.equal(
    postgresTable({ table: 'products', keyType: 'uuid', version: false }),
    `create table if not exists "products" (\n  "key" uuid primary key,\n  "value" jsonb not null\n)`,
  )
})

test('a table of removals has the key’s type, and stands beside the rows’ or alone', () => {
  const options = { table: 'shop.products', key: 'sku', keyType: 'uuid', removals: 'shop.products_removals' } as const
  const alone = `create table if not exists "shop"."products_removals" (\n  key uuid primary key,\n  version bigint not null\n)`
  assert.equal(postgresRemovalsTable(options), alone)
  assert.equal(postgresTable(options), `${postgresTable({ ...options, removals: undefined })};\n${alone}`)
  assert.throws(() => postgresRemovalsTable({ table: 'products' }), ConfigurationError)
  const pool = { query: async () => ({ rows: [] }) }
  assert.throws(() => postgresStore({ pool, ...options, removalsFor: '1s' }), /at least a minute/)
  assert.deepEqual(
    [postgresStore({ pool, ...options }), postgresStore({ pool, table: 'products' })].map((store) => store.remembersRemovals),
    [true, false],
  )
})

test('the trigger stands in the table’s schema, and needs versions', () => {
  const sql = postgresVersionTrigger({ table: 'shop.products', version: 'v' })
  assert.match(sql, /function "shop"\."products_version"\(\)/)
  assert.match(sql, /on "shop"\."products"/)
  assert.throws(() => postgresVersionTrigger({ table: 'a', version: false }), ConfigurationError)
  assert.doesNotMatch(sql, /after delete/)
  const remembering = postgresVersionTrigger({ table: 'shop.products', removals: 'shop.gone' })
  assert.match(
    remembering,
    /trigger "products_removal" after delete on "shop"\."products" for each row execute function "shop"\."products_removal"\(\)/,
  )
})

const injection = 'a"; drop table b; --'
const refused: readonly (readonly [string, Partial<PostgresTableOptions>])[] = [
  ['a table', { table: injection }],
  ['a table in three parts', { table: 'a.b.c' }],
  ['a key', { key: injection }],
  ['a version', { version: injection }],
  ['a document column', { value: injection }],
  ['a property', { columns: { [injection]: 'int' } }],
  ['a property with a column of its own', { columns: { [injection]: { column: 'a', type: 'int' } } }],
  ['a column', { columns: { a: { column: injection, type: 'int' } } }],
  ['a type', { columns: { a: 'int); drop table b; --' } }],
  ['a key type', { keyType: 'int) or 1=1' as 'text' }],
  ['a way to load', { columns: { a: { type: 'int', as: 'json' as 'text' } } }],
  ['no columns', { columns: {} }],
  ['only the key', { columns: { key: 'text' } }],
  ['one column twice', { columns: { a: 'int', b: { column: 'a', type: 'int' } } }],
  ['the version as a property', { columns: { version: 'bigint' } }],
  ['the key as the document', { value: 'key' }],
  ['a document and columns', { value: 'v', columns: { a: 'int' } }],
  ['a table of removals', { removals: injection }],
  ['the table itself for removals', { removals: 'things' }],
  ['removals without versions', { removals: 'gone', version: false }],
]
for (const [what, options] of refused) {
  test(`${what} that cannot be is refused at construction`, () => {
    const all = { table: 'things', ...options }
    assert.throws(() => postgresTable(all), ConfigurationError)
    assert.throws(() => postgresStore({ pool: { query: async () => ({ rows: [] }) }, ...all }), ConfigurationError)
  })
}

test('keys and values are bound: no statement changes with them', async () => {
  const texts = new Set<string>()
  const bound: unknown[] = []
  const pool: PostgresStoreOptions['pool'] = {
    async query({ text, values }) {
      texts.add(text)
      bound.push(...values)
      return { rows: [] }
    },
  }
  const store = postgresStore<string>({ pool, table: 'things' })
  for (const evil of [`'; drop table things; --`, `$1`, `"`]) {
    await store.load([evil])
    await store.save([{ key: evil, value: evil, floor: 1n }])
    await store.save([{ key: evil, value: evil, floor: 1n, expected: 1n }])
    await store.remove([{ key: evil, floor: 1n }])
    assert.ok(bound.some((value) => Array.isArray(value) && value.includes(evil)))
  }
  assert.equal(texts.size, 4)
  for (const text of texts) assert.doesNotMatch(text, /drop/)
})

test('statements are named by what they say', () => {
  const one = new PostgresTable({ table: 'a' }, 'x').save()
  assert.deepEqual(new PostgresTable({ table: 'a' }, 'x').save(), one)
  assert.notEqual(new PostgresTable({ table: 'b' }, 'x').save().name, one.name)
  assert.ok(one.name!.length < 64)
})

test('a store needs a pool, and a reader an SQL with $1', () => {
  const pool = { query: async () => ({ rows: [] }) }
  assert.throws(() => postgresStore({ pool: {} as never, table: 'a' }), ConfigurationError)
  assert.throws(() => postgresStore({ pool, table: 'a', maxBatch: 0 }), ConfigurationError)
  assert.throws(() => postgresStore({ pool, table: 'a', tabel: 'b' } as never), ConfigurationError)
  assert.throws(() => postgresReader({ pool, name: 'a', query: 'select $12' }), ConfigurationError)
  assert.throws(() => postgresReader({ pool: undefined as never, name: 'a', query: '$1' }), ConfigurationError)
})
