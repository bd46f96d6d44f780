/**
 * Whether the log tells rows whole as they were, which functions of the caller's have to see.
 *
 * Unless a table's replica identity is full, an update tells the row as it now is and a delete the key. A review that is moved from one
 * product's page to another's would then change the second page and leave the first as it was. So `keys` and `tags` are refused without it.
 */
import { ConfigurationError } from '../errors.ts'
import type { CapturedTable } from './captured-table.ts'
import { askRows, type PgClient } from './pg-client.ts'

const NOT_FULL = `select c.oid::regclass::text from pg_class c
where c.oid in (select to_regclass($1) union select relid from pg_partition_tree(to_regclass($1)))
  and c.relkind = 'r' and c.relreplident <> 'f' limit 1`

/** @throws ConfigurationError for a table with `keys` or `tags` of which, or of a partition of which, the log tells old rows in part */
export async function checkFullIdentity(admin: PgClient, tables: readonly CapturedTable[]): Promise<void> {
  for (const { hasOwnKeys, hasTags, quoted, name } of tables) {
    if (!hasOwnKeys && !hasTags) continue
    const [partly] = await askRows(admin, NOT_FULL, [quoted])
    if (partly !== undefined)
      throw new ConfigurationError(
        `capture: table '${name}': needs replica identity full for ${hasOwnKeys ? 'keys' : 'tags'}, so that rows are told as they were, but ${partly[0]} has another: run 'ringtail-capture up --full-identity'`,
      )
  }
}
