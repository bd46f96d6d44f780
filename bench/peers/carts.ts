/**
 * Read-modify-writes of one row at a time: through a write-behind cache, and straight on the same PostgreSQL, as a service does that has no cache.
 *
 * Straight: the row and its version are read, and written if the version is still that, a statement each, on `pg`'s pool as its guide sets it
 * up. Through the cache: `update`, which is compare-and-set too, acknowledged once the journal's disk and the node have it; the rows come to the same
 * table behind it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createTier, openJournal, postgresStore, postgresTable, redisNode, writeBehind } from 'ringtail'
import type { Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

const CONNECTIONS = 10

async function openTable({ database }: Ground, table: string, removals?: string): Promise<pg.Pool> {
  const pool = new pg.Pool({ connectionString: database, max: CONNECTIONS })
  await pool.query(postgresTable({ table, removals }))
  return pool
}

export const ringtailWriteBehind: Peer = {
  name: 'ringtail-write-behind',
  packages: ['ringtail', 'pg'],
  page: 'docs/write-behind.md',
  async open(ground) {
    const pool = await openTable(ground, 'carts_behind', 'carts_behind_removals')
    const directory = mkdtempSync(join(tmpdir(), 'ringtail-bench-carts-'))
    const journal = await openJournal({ directory })
    const tier = await createTier({ nodes: [redisNode(ground.urls[0]!)], replicas: 1 })
    const strategy = writeBehind<Product>(postgresStore<Product>({ pool, table: 'carts_behind', removals: 'carts_behind_removals' }), {
      journal,
    })
    const carts = tier.cache<Product>('carts', { strategy, ttl: ground.ttlMs })
    return {
      get: (key) => carts.get(key),
      set: (key, product) => carts.set(key, product),
      update: (key, change) => carts.update(key, (current) => change(current!)),
      close: async () => {
        await tier.close()
        await journal.close()
        await pool.end()
        rmSync(directory, { recursive: true, force: true })
      },
    }
  },
}

export const postgres: Peer = {
  name: 'postgres',
  packages: ['pg'],
  page: 'https://node-postgres.com/features/pooling',
  async open(ground) {
    const pool = await openTable(ground, 'carts_straight')
    const read = async (key: string) => {
      const { rows } = await pool.query({ name: 'read', text: 'select value, version from carts_straight where key = $1', values: [key] })
      return rows[0] as { value: Product; version: string } | undefined
    }
    return {
      get: async (key) => (await read(key))?.value,
      set: (key, product) =>
        pool.query(
          'insert into carts_straight (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value, version = carts_straight.version + 1',
          [key, JSON.stringify(product)],
        ),
      update: async (key, change) => {
        for (;;) {
          const row = (await read(key))!
          const text = 'update carts_straight set value = $2, version = version + 1 where key = $1 and version = $3'
          const { rowCount } = await pool.query({ name: 'write', text, values: [key, JSON.stringify(change(row.value)), row.version] })
          if (rowCount === 1) return
        }
      },
      close: () => pool.end(),
    }
  },
}
