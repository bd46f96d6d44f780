/**
 * Processes that write behind are killed again and again; at the end the database has what was acknowledged.
 *
 * The database records every change of a row by a trigger of its own, so that its record tells more than its rows: nothing was applied twice,
 * and nothing over something newer. One process alone has keys of its own, and between two kills the nodes may be emptied: what a read could have
 * found there is not what is relied upon. Two processes at once share counters as well, of which each update that was acknowledged counts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Redis } from 'ioredis'
import type pg from 'pg'
import { isEnvelope, kindOf } from '../../src/codec/envelope.ts'
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
  /** Counters that all processes raise. */
  readonly shared: number
  /** What its own keys begin with. */
  readonly name: string
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
const SHARED = 3
const CALLERS = 8
const KEYS = 5

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
    await ground.#pool.query(`${postgresTable({ table: 'carts', removals: 'carts_removals' })};
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

  /** Two processes raise the same counters; one is killed at a random moment, then the other. The nodes are left as they are. */
  async killTwoAtRandom(): Promise<void> {
    const before = this.#lines().length
    const children = [0, 1].map((name) => this.#start({ writes: true, name, shared: SHARED }))
    const untilMs = performance.now() + ENDS_WITHIN_MS
    while (this.#lines().length === before && performance.now() < untilMs) await pause(2)
    for (const child of children) {
      await pause(this.#random() * 150)
      const ended = once(child, 'exit')
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await ended
      }
      this.#kills++
    }
  }

  /** @returns whether the process came to that step */
  async killAt(step: string, pass: number): Promise<boolean> {
    const child = this.#start({ writes: true, at: { step, pass } })
    const ended = once(child, 'exit')
    const bound = setTimeout(() => child.kill('SIGTERM'), ENDS_WITHIN_MS / 2)
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

  /** Last processes save what is left; then the database is compared with what was acknowledged, and nothing may be pending on the nodes. */
  async judge(): Promise<KillReport> {
    const wrong: string[] = []
    for (const name of [0, 1]) {
      const child = this.#start({ writes: false, name, shared: SHARED })
      const bound = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS)
      const [code] = await once(child, 'exit')
      clearTimeout(bound)
      if (code !== 0 || this.#lines().at(-1) !== 'drained') wrong.push(`the last process ended with ${code} before all was saved`)
    }
    const lines = this.#lines()
    for (const key of await this.#pendingKeys()) wrong.push(`${key} is still pending on a node`)
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
    const raised = new Map<string, { tried: number; done: number }>()
    for (const line of lines) {
      const [what, key, value] = line.split(' ')
      if (what === 'raise' || what === 'raised') {
        const { tried, done } = raised.get(key!) ?? { tried: 0, done: 0 }
        raised.set(key!, what === 'raise' ? { tried: tried + 1, done } : { tried, done: done + 1 })
        if (what === 'raised') acknowledged++
      } else if (what === 'ok') {
        acknowledged++
        last.set(key!, [value!])
      } else if (what === 'try') last.set(key!, [...(last.get(key!) ?? ['none']), value!])
    }
    for (const [key, possible] of last) {
      const found = String(rows.get(key) ?? 'none')
      if (!possible.includes(found)) wrong.push(`row ${key} is ${found}, and should be ${possible.join(' or ')}`)
    }
    for (const [key, { tried, done }] of raised) {
      const found = rows.get(key) ?? 0
      if (found < done || found > tried) wrong.push(`counter ${key} is ${found}, raised ${done} times of ${tried} tries`)
    }
    return acknowledged
  }

  #start({ name = 0, ...more }: Pick<KillSetting, 'writes' | 'at'> & { readonly name?: number; readonly shared?: number }) {
    const setting: KillSetting = {
      nodes: this.#servers.map(({ url }) => url),
      database: `postgres://postgres@127.0.0.1:${this.#gate.port}/postgres`,
      directory: join(this.folder, `journal-${name}`),
      log: join(this.folder, 'log'),
      callers: CALLERS,
      keys: KEYS,
      shared: 0,
      name: `${name}`,
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
    await this.#eachNode((client) => client.flushall())
  }

  async #pendingKeys(): Promise<string[]> {
    const pending: string[] = []
    await this.#eachNode(async (client) => {
      for (const key of await client.keys('rt:carts:*')) {
        const bytes = await client.getBuffer(key)
        if (bytes !== null && isEnvelope(bytes) && kindOf(bytes) === 'pending') pending.push(key)
      }
    })
    return pending
  }

  async #eachNode(work: (client: Redis) => Promise<unknown>): Promise<void> {
    const { Redis: Client } = await import('ioredis')
    for (const { port } of this.#servers) {
      const client = new Client(port)
      await work(client)
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
