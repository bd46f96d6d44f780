/**
 * What of a database decides whether all changes of a table come, and whether each raises the row's version: looked at again and again.
 *
 * A publication that is altered, or a table that is dropped, leaves changes out without a word; a version trigger that is disabled leaves
 * versions as they were. Each of these leaves a trace in the catalogue, also when it is undone: who finds one since the last look cannot trust
 * what was heard in between. Versions count as rising for what was committed after the trigger was seen, for only that was made under it.
 */
import type { CapturedTable } from './captured-table.ts'
import { askRows, type PgClient } from './pg-client.ts'

/** 23: before, for each row, insert and update. A: fires for sessions that only replicate, too. xmin: whenever the row was written last. */
const LOOK = `
select jsonb_build_array(c.oid::text,
    (select jsonb_build_array(p.oid::text, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate) from pg_publication p where p.pubname = $1),
    (select to_jsonb(t) - 'attnames' from pg_publication_tables t
      where t.pubname = $1 and t.schemaname = n.nspname and t.tablename = c.relname),
    (select r.oid::text from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where p.pubname = $1 and r.prrelid = c.oid)
  )::text,
  (select g.oid::text || ':' || g.xmin::text from pg_trigger g
    where g.tgrelid = c.oid and g.tgname = q.trigger and g.tgtype & 23 = 23 and g.tgenabled = 'A')
from unnest($2::text[], $3::text[]) with ordinality q(place, trigger, nth)
left join pg_class c on c.oid = to_regclass(q.place) left join pg_namespace n on n.oid = c.relnamespace
order by q.nth`

interface Look {
  readonly published: string
  /** undefined: there is none that always fires. */
  readonly trigger: string | undefined
  /** From which place of the log on versions rise. */
  readonly risingFrom: bigint | undefined
}

export class TableLooks {
  readonly #looks = new Map<CapturedTable, Look>()

  /**
   * Looks at the tables. @param place how far the log was before
   * @returns why what was heard since the last look may be wrong; undefined: it is right, or this is the first look
   */
  async look(admin: PgClient, publication: string, tables: readonly CapturedTable[], place: bigint): Promise<string | undefined> {
    const triggers = tables.map((table) => versionTriggerOf(table))
    const rows = await askRows(admin, LOOK, [publication, tables.map(({ quoted }) => quoted), triggers])
    let changed: string | undefined
    for (const [at, table] of tables.entries()) {
      const before = this.#looks.get(table)
      const published = rows[at]![0]!
      const trigger = rows[at]![1] ?? undefined
      const isSame = before !== undefined && before.trigger === trigger
      this.#looks.set(table, { published, trigger, risingFrom: isSame ? before.risingFrom : trigger === undefined ? undefined : place })
      if (before === undefined) continue
      if (before.published !== published) changed ??= `table '${table.name}', or publication '${publication}', was altered`
      const matters = table.hasVersions && table.saidRising === undefined && before.trigger !== undefined
      if (matters && !isSame) changed ??= `the version trigger of table '${table.name}' was altered`
    }
    return changed
  }

  /** Whether a change that was committed at that place raised the version of its row. */
  isRising(table: CapturedTable, place: bigint): boolean {
    if (!table.hasVersions) return false
    if (table.saidRising !== undefined) return table.saidRising
    const from = this.#looks.get(table)?.risingFrom
    return from !== undefined && place >= from
  }

  /** The database is another. */
  forget(): void {
    this.#looks.clear()
  }
}

/** The name of the trigger of `postgresVersionTrigger`. */
export function versionTriggerOf({ name }: CapturedTable): string {
  return `${name.split('.').at(-1)}_version`
}
