/**
 * A process that writes behind is killed again and again; at the end the database has what was acknowledged.
 *
 * The database records every change of a row by a trigger of its own, so that its record tells more than its rows: nothing was applied twice,
 * and nothing over something newer. Between two kills the nodes may be emptied: what a read could have found there is not what is relied upon.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { postgresTable } from '../../src/index.ts'
import { type RedisServer, seededRandom, startRedisServer } from '../../src/testing/index.ts'
import { type RunningPostgres, startPostgres } from '../support/postgres.ts'
import { DatabaseGate } from './database-gate.ts'

export interface KillSetting {
  readonly nodes: readonly string[]
  readonly database: string
  readonly directory: string
  readonly log: string
  readonly callers: number
  /** Of each caller. */
  readonly keys: number
  /** Where values begin: above those of the processes before. */
  readonly from: number
  /** Else it only saves what is left. */
  readonly writes: boolean
  readonly at?: { readonly step: string; readonly pass: number } | undefined
}

export interface KillReport {
  readonly kills: number
  readonly acknowledged: number
  readonly recorded: number
  /** What the database lacks, has twice, or has in the wrong order. */
  readonly wrong: readonly string[]
}

/** The steps of a write's way, in their order. */
export const STEPS = [
  'write:before',
  'write:after',
  'intend:before',
  'intend:after',
  'confirm:before',
  'confirm:after',
  'cancel:before',
  'save:before',
  'save:after',
  'remove:before',
  'remove:after',
  'forget:before',
  'forget:after',
] as const

const WORKER = fileURLToPath(new URL('./kill-worker.ts', import.meta.url))
const ENDS_WITHIN_MS = 60_000
const BETWEEN_RUNS = 1_000_000

export class KillGround {
  readonly folder = mkdtempSync(join(tmpdir(), 'ringtail-kills-'))
  readonly #servers: readonly RedisServer[]
  readonly #postgres: RunningPostgres
  readonly #pool: pg.Pool
  readonly #gate: DatabaseGate
  readonly #random: () => number
  #runs = 0
  #kills = 0

  private constructor(servers: readonly RedisServer[], postgres: RunningPostgres, gate: DatabaseGate, seed: number) {
    this.#servers = servers
    this.#postgres = postgres
    this.#pool = postgres.pool()
    this.#gate = gate
    this.#random = seededRandom(seed)
  }

  static async prepare(seed: number): Promise<KillGround> {
    const [postgres, ...servers] = await Promise.all([startPostgres(), startRedisServer(), startRedisServer(), startRedisServer()])
    const ground = new KillGround(servers, postgres, await DatabaseGate.before(postgres.port), seed)
    await ground.#pool.query(`${postgresTable({ table: 'carts' })};
      create table changes (id bigserial primary key, key text not null, n int, version bigint not null);
      create function note() returns trigger language plpgsql as $$ begin
        if tg_op = 'DELETE' then insert into changes (key, n, version) values (old.key, null, old.version);
        else insert into changes (key, n, version) values (new.key, (new.value->>'n')::int, new.version); end if;
        return null;
      end $$;
      create trigger note after insert or update or delete on carts for each row execute function note()`)
    return ground
  }

  /** Runs a process until it has acknowledged something, and on for a random while; then it is killed. */
  async killAtRandom(): Promise<void> {
    const before = this.#lines().length
    const child = this.#start({ writes: true })
    const untilMs = performance.now() + ENDS_WITHIN_MS
    while (this.#lines().length === before && performance.now() < untilMs && child.exitCode === null) await pause(2)
    await pause(this.#random() * 120)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    this.#kills++
    if (this.#random() < 0.1) await this.#emptyNodes()
  }

  /** @returns whether the process came to that step */
  async killAt(step: string, pass: number): Promise<boolean> {
    const child = this.#start({ writes: true, at: { step, pass } })
    const ended = once(child, 'exit')
    const bound = setTimeout(() => child.kill('SIGTERM'), 10_000)
    const [, signal] = await ended
    clearTimeout(bound)
    this.#kills++
    return signal === 'SIGKILL'
  }

  /** A process goes on writing while the database is away, and is killed a while after it is back. @returns how many writes it acknowledged meanwhile */
  async writeWithoutDatabase(awayMs: number): Promise<number> {
    const atFirst = this.#acknowledged()
    const child = this.#start({ writes: true })
    while (this.#acknowledged() === atFirst && child.exitCode === null) await pause(5)
    this.#gate.shut()
    const before = this.#acknowledged()
    await pause(awayMs)
    const acknowledged = this.#acknowledged() - before
    this.#gate.open()
    await pause(500)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    this.#kills++
    return acknowledged
  }

  /** A last process saves what is left; then the database is compared with what was acknowledged. */
  async judge(): Promise<KillReport> {
    const child = this.#start({ writes: false })
    const bound = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS)
    const [code] = await once(child, 'exit')
    clearTimeout(bound)
    const lines = this.#lines()
    const wrong: string[] = []
    if (code !== 0 || lines.at(-1) !== 'drained') wrong.push(`the last process ended with ${code} before all was saved`)
    const { rows } = await this.#pool.query<{ key: string; n: number }>(`select key, (value->>'n')::int as n from carts`)
    const { rows: changes } = await this.#pool.query<{ key: string; n: number | null; version: string }>(
      'select key, n, version from changes order by id',
    )
    const acknowledged = this.#judgeRows(lines, new Map(rows.map(({ key, n }) => [key, n])), wrong)
    judgeChanges(changes, wrong)
    return { kills: this.#kills, acknowledged, recorded: changes.length, wrong }
  }

  async stop(): Promise<void> {
    this.#gate.close()
    await Promise.allSettled([this.#postgres.stop(), ...this.#servers.map((server) => server.stop())])
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** A row is what was acknowledged last, or what was tried after it and came about unsaid. */
  #judgeRows(lines: readonly string[], rows: ReadonlyMap<string, number>, wrong: string[]): number {
    const last = new Map<string, string[]>()
    let acknowledged = 0
    for (const line of lines) {
      const [what, key, value] = line.split(' ')
      if (what === 'ok') {
        acknowledged++
        last.set(key!, [value!])
      } else if (what === 'try') last.set(key!, [...(last.get(key!) ?? ['none']), value!])
    }
    for (const [key, possible] of last) {
      const found = String(rows.get(key) ?? 'none')
      if (!possible.includes(found)) wrong.push(`row ${key} is ${found}, and should be ${possible.join(' or ')}`)
    }
    return acknowledged
  }

  #start(more: Pick<KillSetting, 'writes' | 'at'>) {
    const setting: KillSetting = {
      nodes: this.#servers.map(({ url }) => url),
      database: `postgres://postgres@127.0.0.1:${this.#gate.port}/postgres`,
      directory: join(this.folder, 'journal'),
      log: join(this.folder, 'log'),
      callers: 8,
      keys: 5,
      from: ++this.#runs * BETWEEN_RUNS,
      ...more,
    }
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    return spawn(process.execPath, ['--conditions=ringtail-source', WORKER, JSON.stringify(setting)], { stdio: ['ignore', 2, 2], env })
  }

  #acknowledged(): number {
    return this.#lines().filter((line) => line.startsWith('ok')).length
  }

  #lines(): string[] {
    const log = join(this.folder, 'log')
    return existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []
  }

  async #emptyNodes(): Promise<void> {
    const { Redis } = await import('ioredis')
    for (const { port } of this.#servers) {
      const client = new Redis(port)
      await client.flushall()
      client.disconnect()
    }
  }
}

/** Values of a key only grow, in version as well; and none comes twice. */
function judgeChanges(changes: readonly { key: string; n: number | null; version: string }[], wrong: string[]): void {
  const seen = new Map<string, { n: number; version: bigint }>()
  for (const { key, n, version } of changes) {
    if (n === null) continue
    const before = seen.get(key)
    if (before !== undefined && n === before.n) wrong.push(`${n} was applied to ${key} twice`)
    else if (before !== undefined && n < before.n) wrong.push(`${n} was applied to ${key} over ${before.n}, which is newer`)
    if (before !== undefined && BigInt(version) <= before.version) wrong.push(`version ${version} of ${key} follows ${before.version}`)
    seen.set(key, { n, version: BigInt(version) })
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
