import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { StoreError } from '../errors.ts'
import { postgresReader } from './postgres-reader.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres()
  pool = server.pool()
})
after(() => server?.stop())

describe('a reader of one’s own SQL', () => {
  test('answers a batch of keys with one statement', async () => {
    await pool.query('create table p (id bigint primary key, name text); create table r (p bigint, stars int)')
    await pool.query(`insert into p values (1, 'lamp'), (2, 'desk'); insert into r values (1, 5), (1, 4)`)
    const reader = postgresReader<{ id: string; name: string; stars: number | null }>({
      pool,
      name: 'page',
      query: 'select p.id, p.name, avg(r.stars)::float8 as stars from p left join r on r.p = p.id where p.id = any($1) group by p.id',
      key: 'id',
      keyType: 'bigint',
    })
    const { rows } = await reader.load(['1', '2', '3', 'abc', `1'; drop table p; --`])
    assert.deepEqual(
      rows,
      new Map([
        ['1', { value: { id: '1', name: 'lamp', stars: 4.5 }, version: 0n }],
        ['2', { value: { id: '2', name: 'desk', stars: null }, version: 0n }],
      ]),
    )
    assert.deepEqual(reader.stats(), [{ id: 'postgres:page', queries: 1, rowsLoaded: 2, rowsSaved: 0 }])
  })

  test('makes values of rows, and fails those alone of which none can be made', async () => {
    const reader = postgresReader<number>({
      pool,
      name: 'numbers',
      query: `select key, length(key) as n from unnest($1) as key`,
      row: ({ n }) => {
        if (n === 2) throw new Error('two')
        return n as number
      },
    })
    const { rows, failed } = await reader.load(['a', 'bb', 'ccc'])
    assert.deepEqual(rows, new Map([1, 3].map((value) => [value === 1 ? 'a' : 'ccc', { value, version: 0n }])))
    assert.deepEqual(
      [...(failed ?? [])].map(([key, error]) => [key, error instanceof StoreError]),
      [['bb', true]],
    )
    const wrong = postgresReader({ pool, name: 'wrong', query: 'select 1 as other where $1 is not null' })
    await assert.rejects(wrong.load(['a']), StoreError)
  })
})
