/**
 * Who waits for a follower's place and is fit to have it, as the database knows it: by a shared advisory lock on the connection for questions,
 * which goes with the connection. One that is cut off from its nodes does not hold it, so nobody hands over to it.
 */
import { askRows, type PgClient } from './pg-client.ts'

/** The first of two numbers of an advisory lock: 'rits' of a slot that is followed by the log, 'outs' of an outbox. The second is its name's. */
const STAND_BY_LOCKS = { replication: 0x72697473, outbox: 0x6f757473 } as const
/** SQL by which the database misses a machine that is gone within some 20 s, and not after hours: what it held is held no longer. */
export const MISSED_SOON = 'set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 2'

export interface StandByParts {
  readonly client: PgClient
  readonly mode: keyof typeof STAND_BY_LOCKS
  readonly slot: string
}

/** Of one connection. */
export class StandBy {
  readonly #parts: StandByParts
  #isShown = false

  constructor(parts: StandByParts) {
    this.#parts = parts
  }

  /** Says whether this process is fit; asks the database only where that has changed. @throws when it cannot be asked */
  async show(isFit: boolean): Promise<void> {
    if (isFit === this.#isShown) return
    const { client, mode, slot } = this.#parts
    const name = isFit ? 'pg_advisory_lock_shared' : 'pg_advisory_unlock_shared'
    await askRows(client, `select ${name}($1, hashtext($2))::text`, [STAND_BY_LOCKS[mode], slot])
    this.#isShown = isFit
  }

  /** Whether another connection shows that it is fit. @throws when the database cannot be asked */
  isAwaited(): Promise<boolean> {
    const { client, mode, slot } = this.#parts
    return isLocked(client, STAND_BY_LOCKS[mode], slot)
  }
}

/** Whether another connection to this database has an advisory lock. @param lock its first number @param name what the second is the hash of */
export async function isLocked(client: PgClient, lock: number, name: string): Promise<boolean> {
  const [row] = await askRows(
    client,
    `select exists (
       select from pg_locks l where l.locktype = 'advisory' and l.granted and l.classid = $1::bigint::oid and l.objsubid = 2
         and l.objid::bigint = (hashtext($2)::bigint & 4294967295) and l.pid <> pg_backend_pid()
         and l.database = (select oid from pg_database where datname = current_database())
     )::text`,
    [lock, name],
  )
  return row![0] === 'true'
}
