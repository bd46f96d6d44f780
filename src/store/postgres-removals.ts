/**
 * Removals that are remembered, as SQL: the statements of a store whose table has one of `removals` beside it.
 *
 * A row that is gone has taken its version with it, so that an older save, which comes late, would bring it back. So each removal leaves a mark
 * beside the table: the key, with the removal's version. An ordered save that finds no row is held against it.
 *
 * The mark is also what both lock, where there is no row to lock: a save that makes a row leaves its own version as a mark first, which
 * finds whatever mark another transaction has just left, though the save's snapshot is older. Rows are locked before marks, and each in the order of
 * their keys. A removal that waited for a save to leave its mark does not see the row that it made. So one that found none looks once more, after its mark is
 * there: an ordered one by itself, a plain one when it is sent `again`.
 *
 * Marks are kept for a time. An ordered save from before it that finds no row is refused, for the mark that spoke against it may be gone.
 */
import type { Random } from '../clock.ts'
import { versionAt } from '../version-clock.ts'
import type { PostgresStatements, Statement } from './postgres-query.ts'
import { CLOCK, type PostgresTable, prepared } from './postgres-table.ts'
import type { StoreCall } from './store.ts'

/** How much longer than they are relied upon marks are kept, ms: for statements that wait, and clocks that are set. */
const KEPT_LONGER_MS = 3_600_000

export class PostgresRemovals {
  readonly #table: PostgresTable
  readonly #removals: string
  readonly #keptMs: number

  /** @param removals quoted @param keptMs how long marks are relied upon, ms */
  constructor(table: PostgresTable, removals: string, keptMs: number) {
    this.#table = table
    this.#removals = removals
    this.#keptMs = keptMs
  }

  /** As `PostgresTable.saveOlder`. Where there is no row, what a mark speaks against is left as well, and what is too old to say. */
  saveOlder(): Statement {
    const { keyType } = this.#table
    return prepared(`with ${this.#table.locked('current')}, absent as (
  select i.key, i.floor from unnest($1::${keyType.type}[], $3::bigint[]) as i(key, floor)
  where not exists (select from current as c where c.key = i.key) and i.floor >= ${before(this.#keptMs)}
), marked as (
  insert into ${this.#removals} as m (key, version) select key, floor from absent order by key
  on conflict (key) do update set version = excluded.version where m.version <= excluded.version
  returning m.key
), free as (
  select key from current union all select key from marked
)
${this.#table.insertOlder('join free as f on f.key = i.key')}`)
  }

  /** As `PostgresTable.remove`, and leaves a mark of each removal's version. */
  remove(): Statement {
    const { table, key, keyType } = this.#table
    return prepared(`with ${this.#table.locked('current')}, removal as materialized (
  select i.key, c.key is not null as there, greatest(c.version + 1, i.floor, ${CLOCK}) as version
  from unnest($1::${keyType.type}[], $2::bigint[]) as i(key, floor) left join current as c on c.key = i.key
), marked as (${this.#mark('select key, version from removal')}), deleted as (
  delete from ${table} as t using removal as r where t.${key} = r.key and r.there returning t.${key} as key
)
select r.key::text, r.version::text, (d.key is not null)::text from removal as r left join deleted as d on d.key = r.key`)
  }

  /** As `PostgresTable.removeOlder`, and leaves a mark of each floor. */
  removeOlder(): Statement {
    const input = `unnest($1::${this.#table.keyType.type}[], $2::bigint[]) as i(key, floor)`
    // Counted, so that all rows are locked before the first mark is.
    const mark = (locked: string) => this.#mark(`select i.key, i.floor from ${input} cross join (select count(*) from ${locked}) as l`)
    return prepared(this.#table.deleteOlder((locked) => `, marked as (${mark(locked)})`))
  }

  /** $1 keys, $2 floors → key, the version of its row or null, of its mark or null, whether the floor is too old to say without a mark. */
  explain(): Statement {
    const { table, key, keyType } = this.#table
    return prepared(`select i.key::text, (${this.#table.found('t')})::text, m.version::text, (i.floor < ${before(this.#keptMs)})::text
from unnest($1::${keyType.type}[], $2::bigint[]) as i(key, floor)
left join ${table} as t on t.${key} = i.key left join ${this.#removals} as m on m.key = i.key`)
  }

  /** $1 a key, $2 a number n: removes what is old among the n marks that begin there → the last of them, and how many there were. */
  prune(): Statement {
    const { type } = this.#table.keyType
    const old = before(this.#keptMs + KEPT_LONGER_MS)
    return prepared(`with looked as materialized (
  select key, version from ${this.#removals} where key >= $1::${type} order by key limit $2::int
), old as materialized (
  select m.key from ${this.#removals} as m join looked as s on s.key = m.key
  where s.version < ${old} and m.version < ${old} for update of m skip locked
), gone as (
  delete from ${this.#removals} as m using old where m.key = old.key
)
select (select key::text from looked order by key desc limit 1), (select count(*)::text from looked)`)
  }

  /** A mark is written even where a higher one stays: by its transaction the trigger knows the store's own removals. */
  #mark(marks: string): string {
    return `
  insert into ${this.#removals} as m (key, version) ${marks} order by 1
  on conflict (key) do update set version = greatest(m.version, excluded.version)
`
  }
}

/** The version of so long ago, by the database's clock. */
function before(ms: number): string {
  return `${CLOCK} - ${versionAt(ms)}`
}

/** After so many marks as a rule… */
const MARKS_BETWEEN = 500
/** …so many are looked at: the table is gone through before it has grown by half. */
const LOOKED_AT = 2_000

/** Removes old marks a few at a time, on the way of statements that make new ones. */
export class MarkPruning {
  readonly #statements: PostgresStatements
  readonly #statement: Statement
  readonly #lowest: string
  #left: number
  /** Where the next look begins. At first among the keys in use, so that many short-lived processes do not all look at the same few. */
  #from: string | undefined

  constructor(statements: PostgresStatements, statement: Statement, lowest: string, random: Random) {
    this.#statements = statements
    this.#statement = statement
    this.#lowest = lowest
    this.#left = 1 + Math.floor(random() * MARKS_BETWEEN)
  }

  /** Marks of these keys were made. What makes room for more is left running, as nobody needs to wait for it. */
  made(keys: readonly string[], call: StoreCall | undefined): void {
    this.#left -= keys.length
    if (this.#left > 0) return
    this.#left = MARKS_BETWEEN
    const pruning = this.#prune(this.#from ?? keys[0]!)
    call?.leftRunning?.(pruning)
  }

  /** Never rejects: what is not removed now is removed later. */
  async #prune(from: string): Promise<void> {
    try {
      const [found] = await this.#statements.rows(this.#statement, [from, LOOKED_AT], undefined)
      const [last, count] = found!
      this.#from = Number(count) < LOOKED_AT ? this.#lowest : last!
    } catch {
      // The call that made the marks has succeeded.
    }
  }
}
