/**
 * What a race is run on: five Redis servers and a PostgreSQL with a table for each raced cache that has rows.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { postgresTable } from '../../src/index.ts'
import { type RedisServer, startRedisServer } from '../../src/testing/index.ts'
import { type RunningPostgres, startPostgres } from '../support/postgres.ts'
import { type RaceSetting, tableOf } from './race-messages.ts'
import { RACED_CACHES } from './race-plan.ts'

const IDS = ['a', 'b', 'c', 'd', 'e']

export class RaceGround {
  readonly nodes: RaceSetting['nodes']
  readonly database: string
  readonly pool: pg.Pool
  /** For the histories. */
  readonly folder = mkdtempSync(join(tmpdir(), 'ringtail-races-'))
  readonly #servers: readonly RedisServer[]
  readonly #postgres: RunningPostgres

  private constructor(servers: readonly RedisServer[], postgres: RunningPostgres) {
    this.#servers = servers
    this.#postgres = postgres
    this.nodes = servers.map(({ url }, at) => ({ id: IDS[at]!, url }))
    this.database = postgres.url()
    this.pool = postgres.pool()
  }

  static async prepare(): Promise<RaceGround> {
    const [postgres, ...servers] = await Promise.all([startPostgres(), ...IDS.map(() => startRedisServer())])
    const ground = new RaceGround(servers, postgres)
    for (const { name } of RACED_CACHES) await ground.pool.query(postgresTable({ table: tableOf(name) }))
    return ground
  }

  async stop(): Promise<void> {
    await Promise.allSettled([this.#postgres.stop(), ...this.#servers.map((server) => server.stop())])
    rmSync(this.folder, { recursive: true, force: true })
  }
}
