import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { ketamaRing } from '../ring/ketama.ts'
import { memoryStore } from './memory-store.ts'
import type { PostgresPool } from './postgres-query.ts'
import { postgresReader } from './postgres-reader.ts'
import { postgresStore } from './postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from './postgres-table.ts'
import { shardedReader, shardedStore } from './sharded-store.ts'
import { sqliteStore } from './sqlite-store.ts'

const pool: PostgresPool = { query: async () => ({ rows: [] }) }
const reader = () => postgresReader({ pool, name: 'a', query: '$1' })
const query = '$1'

/** What TypeScript would refuse, as JavaScript or an `any` hands it in. */
const wrong: readonly (readonly [string, RegExp, (any: (value: unknown) => never) => unknown])[] = [
  ['shards that are undefined', /shardedStore: needs an array of at least one shard/, (any) => shardedStore(any(undefined))],
  ['a store instead of a list', /shardedStore: needs an array of at least one shard/, (any) => shardedStore(any(memoryStore()))],
  ['a shard that is undefined', /shard 0: needs a store, or \{ id, store \}.*undefined/, (any) => shardedStore([any(undefined)])],
  ['a shard that is null', /shard 1: needs a store/, (any) => shardedStore([memoryStore(), any(null)])],
  ['a shard that is a number', /shard 0: needs a store/, (any) => shardedReader([any(5)])],
  ['a shard that is empty', /shard 0: needs a store.*load.*\{\}/, (any) => shardedStore([any({})])],
  ['a shard with only an id', /shard 0: needs a store/, (any) => shardedStore([any({ id: 'a' })])],
  ['a shard whose store is none', /shard 0: store: needs a store/, (any) => shardedStore([any({ id: 'a', store: {} })])],
  ['a shard whose store is undefined', /shard 0: store: needs a store/, (any) => shardedReader([any({ id: 'a', store: undefined })])],
  ['a shard with an id that is no text', /shard 0: id: needs/, (any) => shardedStore([{ id: any(7), store: memoryStore() }])],
  ['a shard misspelt', /shard 0: needs options among/, (any) => shardedStore([any({ ids: 'a', store: memoryStore() })])],
  ['a reader as a shard of a store', /shard 0: needs a store.*save/, (any) => shardedStore([any(reader())])],
  ['a sharded store with options null', /shardedStore: needs an object/, (any) => shardedStore([memoryStore()], any(null))],
  ['a shardOf that is no function', /shardOf: needs a function/, (any) => shardedStore([memoryStore()], { shardOf: any(5) })],
  ['slots that are no list', /slots: needs/, (any) => shardedStore([memoryStore()], { slots: any({}) })],
  ['slots that are text', /slots: needs/, (any) => shardedStore([memoryStore()], { slots: any('16') })],
  ['a name that is no text', /name: needs/, (any) => shardedStore([memoryStore()], { name: any(5) })],
  ['rows that are a number', /rows: needs an iterable.*5/, (any) => memoryStore({ rows: any(5) })],
  ['rows that are null', /rows: needs an iterable/, (any) => memoryStore({ rows: any(null) })],
  ['rows that are an object', /rows: needs an iterable/, (any) => memoryStore({ rows: any({ a: 1 }) })],
  ['rows that are no pairs', /rows: needs an iterable/, (any) => memoryStore({ rows: any([5]) })],
  ['rows that are texts', /rows: needs an iterable/, (any) => memoryStore({ rows: any('ab') })],
  ['rows with keys that are no text', /rows: needs an iterable/, (any) => memoryStore({ rows: [[any(1), 'a']] })],
  ['rows that cannot be copied', /rows: the value of key "a"/, () => memoryStore({ rows: [['a', () => 1]] })],
  ['a switch that is no boolean', /versioned: needs true or false/, (any) => memoryStore({ versioned: any('no') })],
  ['a memory store named by a number', /memoryStore: name: needs/, (any) => memoryStore({ name: any(5) })],
  ['no SQLite options', /sqliteStore: needs an object/, (any) => sqliteStore(any(undefined))],
  ['no SQLite table', /sqliteStore: table/, (any) => sqliteStore(any({}))],
  ['a file that is no text', /file: needs/, (any) => sqliteStore({ table: 'a', file: any(5) })],
  ['a database that is none', /database: needs a DatabaseSync/, (any) => sqliteStore({ table: 'a', database: any({}) })],
  ['a busy timeout beside a database', /busyTimeout: needs/, (any) => sqliteStore({ table: 'a', busyTimeout: any('soon') })],
  ['no PostgreSQL options', /postgresStore: needs an object/, (any) => postgresStore(any(undefined))],
  ['a pool that is null', /pool: needs a pool/, (any) => postgresStore({ pool: any(null), table: 'a' })],
  ['a URL as the pool', /pool: needs a pool/, (any) => postgresStore({ pool: any('postgres://a'), table: 'a' })],
  ['no PostgreSQL table', /postgresStore: table/, (any) => postgresStore(any({ pool }))],
  ['a prepare that is no boolean', /prepare: needs true or false/, (any) => postgresStore({ pool, table: 'a', prepare: any(0) })],
  ['columns that are null', /columns: needs an object/, (any) => postgresStore({ pool, table: 'a', columns: any(null) })],
  ['a reader without a name', /postgresReader: name: needs/, (any) => postgresReader(any({ pool, query }))],
  ['a reader with a key that is no text', /postgresReader: key: needs/, (any) => postgresReader({ pool, name: 'a', query, key: any(5) })],
  ['a reader with a row that is no function', /row: needs a function/, (any) => postgresReader({ pool, name: 'a', query, row: any({}) })],
  [
    'a reader with versions',
    /postgresReader: needs options among.*"version"/,
    () => postgresReader({ pool, name: 'a', query, version: 'v' } as never),
  ],
]
for (const [what, message, make] of wrong) {
  test(`${what}: refused where it is given, with what was needed`, () => {
    assert.throws(
      () => make((value) => value as never),
      (error: Error) => error instanceof ConfigurationError && message.test(error.message),
    )
  })
}

test('an option that is undefined has its default, in every store', async () => {
  const memory = memoryStore<number>({ name: undefined, rows: undefined, versioned: undefined })
  assert.deepEqual([memory.name, memory.versioned, memory.size], ['memory', true, 0])
  const none = { file: undefined, database: undefined, name: undefined, key: undefined, value: undefined }
  const sqlite = sqliteStore({ table: 'a', ...none, version: undefined, busyTimeout: undefined })
  assert.deepEqual([sqlite.name, sqlite.versioned], ['sqlite:a', true])
  sqlite.close()
  const table = { table: 'a', key: undefined, keyType: undefined, version: undefined, value: undefined, columns: undefined }
  assert.equal(postgresTable(table), postgresTable({ table: 'a' }))
  assert.equal(postgresVersionTrigger(table), postgresVersionTrigger({ table: 'a' }))
  assert.equal(
    postgresTable({ table: 'a', columns: { n: { type: 'int', column: undefined, as: undefined } } }),
    postgresTable({ table: 'a', columns: { n: 'int' } }),
  )
  const chance = { clock: undefined, random: undefined }
  const postgres = postgresStore({ pool, ...table, name: undefined, maxBatch: undefined, prepare: undefined, ...chance })
  assert.deepEqual([postgres.name, postgres.versioned], ['postgres:a', true])
  const own = postgresReader({ pool, name: 'a', query, key: undefined, keyType: undefined, row: undefined, maxBatch: undefined })
  assert.equal((await own.load(['a'])).rows.size, 0)
  const limits = { concurrency: undefined, queue: undefined, shardOf: undefined, slots: undefined }
  const sharded = shardedStore([{ id: 'one', store: memory }], { name: undefined, ...limits })
  assert.equal(sharded.name, 'sharded')
  assert.equal((await sharded.save([{ key: 'a', value: 1, floor: 1n }]))[0]?.state, 'saved')
})

test('an option that is undefined has its default, in every placement', async () => {
  const members = ['a', 'b', 'c'].map((id) => ({ id, weight: 1 }))
  const keys = ['1', '2', '3', '4', '5', '6']
  for (const [given, plain] of [
    [hashRing({ points: undefined, seed: undefined }), hashRing()],
    [ketamaRing({ hashTag: undefined }), ketamaRing()],
  ] as const) {
    await given.prepare()
    const [one, other] = [given.build(members, 2), plain.build(members, 2)]
    for (const key of keys) assert.deepEqual(one.ownersOf(key), other.ownersOf(key))
  }
})
