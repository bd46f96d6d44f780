/**
 * The operations of one process on one raced cache, each recorded: what was called, what came of it, and when.
 *
 * Whatever did not clearly succeed or fail is recorded as unknown. A caller never stops for an error; errors are counted. A touch changes no
 * value and is not recorded: it is done for what it must not bring back.
 */
import type pg from 'pg'
import { type Cache, ConflictError, type Random, type Session } from '../../src/index.ts'
import { HistoryRecorder, type Operation, sharedMs } from '../../src/testing/index.ts'
import type { RaceHolds, UnderWay } from './race-holds.ts'
import { historyFile, tableOf } from './race-messages.ts'
import { keyOf, levelOf, type RacedCache, tagOf } from './race-plan.ts'
import type { RacedValue } from './raced-tier.ts'

export interface CallersParts {
  readonly process: number
  readonly folder: string
  readonly raced: RacedCache
  readonly cache: Cache<RacedValue>
  readonly pool: pg.Pool
  readonly holds: RaceHolds
  readonly random: Random
  readonly nextValue: () => number
  readonly keys: number
}

/** On whose behalf: what it has written it reads, in whichever process. */
export interface Client {
  readonly name: string
  readonly session: Session
}

type Change = 'write' | 'update' | 'delete'

const MOST_READ_AT_ONCE = 6
const TOGETHER = 0.25
const TOUCHED = 0.02
const REFRESHED = 0.02

export class RaceCallers {
  readonly #parts: CallersParts
  readonly #recorder: HistoryRecorder
  readonly #level: string | undefined
  /** Without a session too, a process reads what it wrote where a layer of its own answers. */
  readonly #own: string | undefined
  readonly errors: Record<string, number> = {}

  constructor(parts: CallersParts) {
    const { raced, process, folder } = parts
    this.#parts = parts
    this.#recorder = new HistoryRecorder(historyFile(folder, raced.name, process))
    this.#level = levelOf(raced)
    this.#own = raced.near !== undefined || raced.tagged === true ? `process ${process}` : undefined
  }

  /** One operation, drawn. @returns as how many it counts */
  async one(client?: Client): Promise<number> {
    const { raced, random } = this.#parts
    const { writes, updates, deletes } = raced.mix
    const draw = random()
    if (draw < writes + updates + deletes)
      return this.#change(this.#key(), draw < writes ? 'write' : draw < writes + updates ? 'update' : 'delete', true, client)
    const other = random()
    if (other < TOGETHER) return this.#readMany(client)
    if (other < TOGETHER + TOUCHED) return this.#touch()
    if (other < TOGETHER + TOUCHED + REFRESHED && raced.kind !== 'cache-aside') return this.#refresh()
    return this.#read(this.#key(), client)
  }

  /** A write, update or delete, drawn, of a key that another process holds. */
  meddle(key: string): Promise<number> {
    const draw = this.#parts.random()
    return this.#change(key, draw < 0.5 ? 'write' : draw < 0.7 && this.#parts.raced.mix.updates > 0 ? 'update' : 'delete', false, undefined)
  }

  close(): void {
    this.#recorder.close()
  }

  async #read(key: string, client: Client | undefined): Promise<number> {
    const { cache } = this.#parts
    const work = async () => ({ value: (await cache.get(key, optionsOf(client)))?.v })
    await this.#recorded([key], 'read', true, client, work)
    return 1
  }

  async #change(key: string, kind: Change, mayBeHeld: boolean, client: Client | undefined): Promise<number> {
    const { cache, nextValue, raced } = this.#parts
    if (kind === 'update') {
      let made: Pick<Operation, 'value' | 'from'> = { value: nextValue() }
      const change = (current: RacedValue | undefined): RacedValue => {
        const v = nextValue()
        made = { value: v, from: current?.v }
        return { v }
      }
      const work = () => cache.update(key, change, optionsOf(client))
      await this.#recorded([key], kind, mayBeHeld, client, work, () => made)
    } else if (kind === 'delete' && raced.tagged === true) return this.#deleteTagged(tagOf(key))
    else if (kind === 'delete') {
      const work = () => (raced.kind === 'sql' ? this.#removeRow(key, client) : cache.delete(key, optionsOf(client)))
      await this.#recorded([key], kind, mayBeHeld, client, work)
    } else {
      const v = nextValue()
      const work = () => (raced.kind === 'sql' ? this.#writeRow(key, v, client) : cache.set(key, { v }, optionsOf(client)))
      await this.#recorded([key], kind, mayBeHeld, client, work, () => ({ value: v }))
    }
    return 1
  }

  /** A delete of each key that may have the tag. There is no version of it for a client's session to remember. */
  async #deleteTagged(tag: string): Promise<number> {
    const { cache, keys } = this.#parts
    const tagged = Array.from({ length: keys }, (_, nth) => keyOf(nth)).filter((key) => tagOf(key) === tag)
    await this.#recorded(tagged, 'delete', true, undefined, () => cache.deleteByTag(tag))
    return 1
  }

  async #readMany(client: Client | undefined): Promise<number> {
    const { cache, random } = this.#parts
    const keys = [...new Set(Array.from({ length: 2 + Math.floor(random() * (MOST_READ_AT_ONCE - 1)) }, () => this.#key()))]
    const callMs = sharedMs()
    try {
      const values = await this.#parts.holds.during({ mayBeHeld: true, by: 'save' }, () => cache.getMany(keys, optionsOf(client)))
      const returnMs = sharedMs()
      for (const key of keys) this.#record({ key, kind: 'read', value: values.get(key)?.v, callMs, returnMs, outcome: 'ok' }, client)
    } catch (error) {
      this.#count(error)
    }
    return keys.length
  }

  async #refresh(): Promise<number> {
    const { cache } = this.#parts
    const key = this.#key()
    await this.#recorded([key], 'read', true, undefined, async () => ({ value: (await cache.refresh(key)).get(key)?.v }))
    return 1
  }

  async #touch(): Promise<number> {
    try {
      await this.#parts.cache.touch(this.#key())
    } catch (error) {
      this.#count(error)
    }
    return 1
  }

  /** What the application does where the cache only reads: its own SQL, then the cache is to forget. */
  async #writeRow(key: string, v: number, client: Client | undefined): Promise<void> {
    const { raced } = this.#parts
    const text = `insert into ${tableOf(raced.name)} (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value`
    await this.#ownSql(text, [key, { v }], key, client)
  }

  #removeRow(key: string, client: Client | undefined): Promise<void> {
    return this.#ownSql(`delete from ${tableOf(this.#parts.raced.name)} where key = $1`, [key], key, client)
  }

  async #ownSql(text: string, values: readonly unknown[], key: string, client: Client | undefined): Promise<void> {
    const { pool, cache, raced, holds } = this.#parts
    await pool.query(text, [...values])
    await holds.watchOf(raced.name).hold('save', [key])
    await cache.delete(key, optionsOf(client))
  }

  async #recorded(
    keys: readonly string[],
    kind: Operation['kind'],
    mayBeHeld: boolean,
    client: Client | undefined,
    work: () => Promise<unknown>,
    made: () => Pick<Operation, 'value' | 'from'> = () => ({}),
  ): Promise<void> {
    const underWay: UnderWay = { mayBeHeld, by: kind === 'delete' ? 'remove' : 'save' }
    const callMs = sharedMs()
    let outcome: Operation['outcome'] = 'ok'
    let seen: Pick<Operation, 'value'> = {}
    try {
      const result = await this.#parts.holds.during(underWay, work)
      if (kind === 'read') seen = result as Pick<Operation, 'value'>
    } catch (error) {
      this.#count(error)
      outcome = error instanceof ConflictError || kind === 'read' ? 'failed' : 'unknown'
    }
    const returnMs = sharedMs()
    const { version } = underWay
    const what = kind === 'read' ? seen : made()
    for (const key of keys) this.#record({ key, kind, ...what, version, callMs, returnMs, outcome }, client)
  }

  #record(operation: Omit<Operation, 'process' | 'level' | 'session'>, client: Client | undefined): void {
    const { process, raced } = this.#parts
    // What a group's delete took may be built upon by who has not heard of it.
    const level = operation.kind === 'read' || raced.tagged === true ? this.#level : raced.writes
    this.#recorder.record({ ...operation, process, level, session: client?.name ?? this.#own })
  }

  #count(error: unknown): void {
    const code = (error as { code?: string }).code ?? String(error)
    this.errors[code] = (this.errors[code] ?? 0) + 1
  }

  /** The first few are drawn most of the time, as Zipf's law has it. */
  #key(): string {
    const { random, keys } = this.#parts
    return keyOf(Math.floor((keys + 1) ** random()) - 1)
  }
}

/** Undefined, and so the hot path, for who has no session. */
function optionsOf(client: Client | undefined): { readonly session: Session } | undefined {
  return client && { session: client.session }
}
