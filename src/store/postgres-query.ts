/**
 * One statement to PostgreSQL through a pool of the caller's, and what its failure means.
 *
 * The pool is typed by its shape, so that `pg` is no dependency. After a statement was sent, three things are kept apart. The server refused
 * it: nothing of it happened. It refused because of one row's data: the rest may still be saved, see `isDataError`. No answer came, because
 * the connection or the caller's patience was lost: it may have happened, `isUnknown`. SQLSTATE classes: PostgreSQL manual, appendix A.
 */
import { type Clock, type Random, systemClock, systemRandom } from '../clock.ts'
import { RingtailError } from '../errors.ts'
import { asStoreError } from './batch.ts'
import type { StoreCall } from './store.ts'

/**
 * What is used of `pg`'s Pool (or Client). Set `connectionTimeoutMillis`, `statement_timeout` and `query_timeout` on it, the first two together
 * not above the cache's `deadlines.load`: the store sets none, and a save that nobody waits for any more may still commit until then.
 */
export interface PostgresPool {
  query(query: PostgresQuery): Promise<{ rows: unknown[] }>
}

export interface PostgresQuery {
  text: string
  values: unknown[]
  /** Prepared once a connection under this name. */
  name?: string
  rowMode?: 'array'
  types?: { getTypeParser: () => (text: string) => string }
}

/** Columns as the server sent them, so that a parser set on the caller's `pg` changes nothing here. */
export type TextRow = readonly (string | null)[]
const asSent = { getTypeParser: () => (text: string) => text }

/** A statement that deadlocked or could not be serialized was rolled back as a whole. It is sent again, so often in all… */
const TRIES = 4
/** …after a random wait of up to this, doubled each time: who lost must let the other pass, or they meet again. */
const BACKOFF_MS = 10

/** Handed in by tests. */
export interface Chance {
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

export class PostgresStatements {
  readonly #pool: PostgresPool
  readonly #name: string
  readonly #clock: Clock
  readonly #random: Random
  sent = 0

  constructor(pool: PostgresPool, name: string, { clock = systemClock, random = systemRandom }: Chance = {}) {
    this.#pool = pool
    this.#name = name
    this.#clock = clock
    this.#random = random
  }

  /** @returns rows of text, with parameters bound @throws RingtailError; the signal's reason once it is aborted */
  rows(statement: Statement, values: unknown[], call: StoreCall | undefined): Promise<TextRow[]> {
    return this.query({ ...statement, values, rowMode: 'array', types: asSent }, call) as Promise<TextRow[]>
  }

  async query(query: PostgresQuery, call: StoreCall | undefined): Promise<unknown[]> {
    const signal = call?.signal
    for (let tried = 1; ; tried++) {
      signal?.throwIfAborted()
      try {
        this.sent++
        return (await abandonable(this.#pool.query(query), call)).rows
      } catch (thrown) {
        if (signal?.aborted === true && thrown === signal.reason) throw thrown
        if (tried === TRIES || !isRolledBack(thrown)) throw asStoreError(thrown, this.#name)
        const waitMs = (0.5 + this.#random() / 2) * BACKOFF_MS * 2 ** (tried - 1)
        await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve, { keepAlive: true }))
      }
    }
  }
}

export interface Statement {
  readonly text: string
  readonly name?: string
}

/** The server answered that the data of some row are at fault; the statement did nothing. */
export function isDataError(thrown: unknown): boolean {
  // 22 data exception, 23 constraint, 44 view's check option, 54 too large (an index row), P0 raised by a trigger.
  return /^(?:22|23|44|54|P0)/.test(sqlState(thrown) ?? '')
}

/** Whether the statement may have been carried out, for all that is known. */
export function isUnknown(thrown: unknown): boolean {
  const state = sqlState(thrown)
  // 08 connection lost, 40003 completion unknown, 57P01-2 server stopped: all may come after a commit.
  if (state !== undefined) return state.startsWith('08') || ['40003', '57P01', '57P02'].includes(state)
  return !['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(codeOf(thrown) ?? '')
}

/** Deadlock or serialization failure: the server rolled the statement back to let another go first. */
function isRolledBack(thrown: unknown): boolean {
  return ['40P01', '40001'].includes(sqlState(thrown) ?? '')
}

function sqlState(thrown: unknown): string | undefined {
  const code = codeOf(thrown)
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E') ? code : undefined
}

function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  if (thrown instanceof RingtailError) return codeOf(thrown.cause)
  const { code } = thrown as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/**
 * The answer, or the signal's reason if that comes first. The statement itself goes on, or waits on in the pool's line: `pg` has no way to
 * stop one that is not another connection. So whoever counts statements is told of it.
 */
function abandonable<T>(answer: Promise<T>, call: StoreCall | undefined): Promise<T> {
  const signal = call?.signal
  if (signal === undefined) return answer
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      call?.leftRunning?.(answer)
      reject(signal.reason)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
