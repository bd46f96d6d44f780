import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError, StoreError } from '../errors.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { versionAt } from '../version-clock.ts'
import { type SqliteStoreOptions, sqliteStore } from './sqlite-store.ts'

for (const version of ['version', false] as const) {
  storeConformance({
    name: version ? 'a SQLite store' : 'a SQLite store without versions',
    versioned: version !== false,
    remembersRemovals: version !== false,
    create: async () => {
      const store = sqliteStore<unknown>({ table: 'things', version })
      return { store, cleanup: async () => store.close() }
    },
  })
}

describe('a SQLite store', () => {
  test('keeps its rows and its removals in the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtail-sqlite-'))
    try {
      const file = join(folder, 'shop.db')
      const first = sqliteStore({ file, table: 'products' })
      const [one] = await first.save([{ key: 'a', value: { n: 1 }, floor: 10n }])
      await first.save([{ key: 'b', value: 1, floor: 500n }])
      await first.remove([{ key: 'b', floor: 1n }])
      assert.ok(existsSync(`${file}-wal`))
      first.close()
      first.close()
      const second = sqliteStore({ file, table: 'products' })
      assert.deepEqual(one, { state: 'saved', version: 10n })
      assert.deepEqual((await second.load(['a', 'b'])).rows, new Map([['a', { value: { n: 1 }, version: 10n }]]))
      assert.deepEqual(await second.save([{ key: 'b', value: 2, floor: 1n }]), [{ state: 'saved', version: 502n }])
      second.close()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('remembers each removal in the file for a time, and then refuses for good what it may have spoken against', async () => {
    const clock = new FakeClock()
    const database = new DatabaseSync(':memory:')
    const open = () => sqliteStore<number>({ database, table: 'products', clock, removalsFor: '1h' })
    const save = async (key: string, floor: bigint) => (await open().save([{ key, value: 1, floor, ifOlder: true }]))[0]!
    const remove = (key: string) => open().remove([{ key, floor: versionAt(clock.now()), ifOlder: true }])
    const marks = () => database.prepare('select count(*) as n from products_removals').get()!.n
    const first = versionAt(clock.now())
    for (const key of ['a', 'b', 'c']) await remove(key)
    assert.deepEqual(await save('a', first - 1n), { state: 'conflict', version: first })
    await clock.advance(3_600_001)
    assert.equal((await save('a', first - 1n)).state, 'conflict')
    await remove('d')
    assert.equal(marks(), 2)
    await remove('e')
    assert.equal(marks(), 2)
    for (const key of ['a', 'other']) {
      const status = await save(key, first - 1n)
      assert.ok(status.state === 'failed' && status.forGood === true && /older than the 1 h/.test(status.error.message), key)
    }
    assert.equal((await save('a', first)).state, 'saved')
    database.close()
  })

  test('takes over a file from before removals were remembered one by one', async () => {
    const database = new DatabaseSync(':memory:')
    database.exec(`create table products_removed (id integer primary key check (id = 1), version integer not null) strict;
      insert into products_removed values (1, 500)`)
    for (let times = 0; times < 2; times++) {
      const store = sqliteStore({ database, table: 'products', clock: new FakeClock(0) })
      await store.remove([{ key: 'a', floor: 1n }])
      assert.deepEqual(await store.save([{ key: 'b', value: 2, floor: 1n, expected: 0n }]), [{ state: 'saved', version: 501n }])
      assert.equal((await store.save([{ key: 'a', value: 2, floor: 0n, ifOlder: true }]))[0]?.state, 'conflict')
      database.exec('delete from products')
    }
    database.close()
  })

  test('answers a lock held by another process with a failure, not with a wait without end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtail-sqlite-'))
    const file = join(folder, 'shop.db')
    const store = sqliteStore({ file, table: 'products', busyTimeout: 1 })
    const other = new DatabaseSync(file)
    try {
      other.exec('begin immediate')
      const [status] = await store.save([{ key: 'a', value: 1, floor: 1n }])
      assert.ok(status?.state === 'failed' && status.error instanceof StoreError && status.error.cause instanceof Error)
      other.exec('rollback')
      assert.equal((await store.save([{ key: 'a', value: 1, floor: 1n }]))[0]?.state, 'saved')
    } finally {
      other.close()
      store.close()
      rmSync(folder, { recursive: true })
    }
  })

  test('stands on a table that is there, with its own columns and constraints', async () => {
    const database = new DatabaseSync(':memory:')
    database.exec(
      `create table "My-products" (sku text primary key, doc text not null check (doc <> '13'), v integer not null default 1) strict`,
    )
    database.exec(`insert into "My-products" (sku, doc) values ('old', '"there"')`)
    const store = sqliteStore({ database, table: 'My-products', key: 'sku', value: 'doc', version: 'v' })
    assert.deepEqual((await store.load(['old'])).rows.get('old'), { value: 'there', version: 1n })
    const statuses = await store.save([12, 13, 14].map((value) => ({ key: String(value), value, floor: 7n })))
    assert.deepEqual(
      statuses.map(({ state }) => state),
      ['saved', 'failed', 'saved'],
    )
    assert.deepEqual([...(await store.load(['12', '13', '14'])).rows.keys()], ['12', '14'])
    store.close()
    assert.ok(database.isOpen)
    database.close()
  })

  test('fails, and says so, once it is closed', async () => {
    const store = sqliteStore({ table: 'things' })
    store.close()
    await assert.rejects(store.load(['a']), StoreError)
    assert.equal((await store.save([{ key: 'a', value: 1, floor: 1n }]))[0]?.state, 'failed')
  })

  test('holds any string as a key, or refuses it', async () => {
    const store = sqliteStore<string>({ table: 'things' })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) })),
        async (keys) => {
          const statuses = await store.save(keys.map((key) => ({ key, value: key, floor: 1n })))
          const { rows } = await store.load(keys)
          for (const [index, key] of keys.entries()) {
            assert.equal(statuses[index]!.state, key.isWellFormed() ? 'saved' : 'failed')
            assert.equal(rows.get(key)?.value, key.isWellFormed() ? key : undefined)
          }
        },
      ),
    )
    store.close()
  })

  test('takes no name that could end a statement', () => {
    const refused: Partial<SqliteStoreOptions>[] = [
      { table: 'a"; drop table b; --' },
      { table: '' },
      { table: 'a.b' },
      { key: 'key text); --' },
      { value: "v'" },
      { version: 'v v' },
    ]
    for (const options of refused) assert.throws(() => sqliteStore({ table: 'things', ...options }), ConfigurationError)
    assert.throws(() => sqliteStore({ table: 'things', files: 'x' } as unknown as SqliteStoreOptions), ConfigurationError)
  })
})
