/**
 * Every row by its name, gathered from the files of their families.
 */
import { isMissing, type Row } from './row.ts'
import { ROW_NAMES, type RowName } from './row-names.ts'
import { CLIENT_ROWS } from './rows/clients.ts'
import { CUT_ROWS } from './rows/cuts.ts'
import { DROP_ROWS } from './rows/drops.ts'
import { LOAD_ROWS } from './rows/loads.ts'
import { LOSS_ROWS } from './rows/losses.ts'
import { REFUSAL_ROWS } from './rows/refusals.ts'
import { RESTART_ROWS } from './rows/restarts.ts'
import { RING_ROWS } from './rows/ring-changes.ts'
import { SHARD_ROWS } from './rows/shards.ts'
import { SILENCE_ROWS } from './rows/silences.ts'

export const FAMILIES: Readonly<Record<string, readonly Row[]>> = {
  silences: SILENCE_ROWS,
  drops: DROP_ROWS,
  cuts: CUT_ROWS,
  losses: LOSS_ROWS,
  restarts: RESTART_ROWS,
  refusals: REFUSAL_ROWS,
  shards: SHARD_ROWS,
  clients: CLIENT_ROWS,
  loads: LOAD_ROWS,
  'ring-changes': RING_ROWS,
}

const BY_NAME = new Map(
  Object.values(FAMILIES)
    .flat()
    .map((row) => [row.name, row]),
)

/** A name without a row is a row that is missing. */
export function rowOf(name: RowName): Row {
  return BY_NAME.get(name) ?? { name, what: 'has no row', missing: 'its row is missing from the code' }
}

export function namesWithoutRow(): RowName[] {
  return ROW_NAMES.filter((name) => !BY_NAME.has(name))
}

export function isBuilt(name: RowName): boolean {
  return !isMissing(rowOf(name))
}
