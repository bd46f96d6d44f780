/**
 * Which copies of one key are wrong, by what the owners hold and the store says: the rules of the check, pure.
 *
 * A copy counts only if it would be served: what is over, of a deleted group, a tombstone, leased or bent is a miss to its readers, and a
 * miss is never old. A pending entry is newer than the store until its row has passed it. What is ahead of the store (one that reads from a
 * database's replica, say) is not older than anything.
 */
import type { EntryKind, Version } from '../entry.ts'
import type { Staleness } from './consistency.ts'

/** What one owner holds of a key. */
export interface Copy {
  readonly kind: EntryKind
  readonly version: Version
  readonly begun: number
  /** Whether a reader who asks this owner is given it. */
  readonly served: boolean
  /** Whether it is the value of the row that was read; undefined where that was not compared. */
  readonly isRowsValue: boolean | undefined
}

/** What the store says of a key. `unknown`: it did not answer. */
export type RowSeen =
  | { readonly state: 'row'; readonly version: Version /** Of two rows, whether they are the same. */; readonly mark: string }
  | { readonly state: 'absent'; readonly mark: string }
  | { readonly state: 'unknown'; readonly mark: string }

/** `store`: its versions order rows and copies alike, and of one version both are one value. `values`: a store without; its values alone can be compared. */
export type Yardstick = 'store' | 'values' | 'owners'

export interface Fault {
  readonly staleness: Staleness
  readonly newer: Version | undefined
}

/** In order, in what each copy is wrong; undefined where it is not. @param copies undefined: the owner holds nothing, or did not answer */
export function judgeCopies(copies: readonly (Copy | undefined)[], row: RowSeen, yardstick: Yardstick): (Fault | undefined)[] {
  if (yardstick === 'owners') {
    const newest = newestOf(copies, () => true)
    return copies.map((copy) => (copy?.served === true ? againstOwner(copy, newest!) : undefined))
  }
  if (row.state === 'unknown') return copies.map(() => undefined)
  if (yardstick === 'values') return copies.map((copy) => (copy?.served === true ? againstValue(copy, row) : undefined))
  const pending = newestOf(copies, ({ kind, served }) => kind === 'pending' && served)?.version ?? 0n
  return copies.map((copy) => (copy?.served === true ? againstRow(copy, row, pending) : undefined))
}

function againstOwner(copy: Copy, newest: Copy): Fault | undefined {
  if (copy.version >= newest.version) return undefined
  return { staleness: newest.kind === 'tombstone' ? 'deleted' : 'overtaken', newer: newest.version }
}

/** @param pending the newest version that waits for the store on any owner */
function againstRow(copy: Copy, row: Exclude<RowSeen, { state: 'unknown' }>, pending: Version): Fault | undefined {
  const committed = row.state === 'row' ? row.version : 0n
  const newer = committed > pending ? committed : pending
  if (copy.kind === 'negative') return newer > 0n || row.state === 'row' ? { staleness: 'hidden', newer } : undefined
  if (copy.version < newer) return { staleness: 'overtaken', newer }
  if (copy.kind !== 'value') return undefined
  if (row.state === 'absent') return { staleness: 'deleted', newer: undefined }
  // The row was changed by something that left its version as it was, or is of a copy of the database that went another way.
  return copy.version === row.version && copy.isRowsValue === false ? { staleness: 'different', newer: undefined } : undefined
}

function againstValue(copy: Copy, row: RowSeen): Fault | undefined {
  if (copy.kind === 'pending') return undefined
  if (row.state === 'absent') return copy.kind === 'value' ? { staleness: 'deleted', newer: undefined } : undefined
  if (copy.kind === 'negative') return { staleness: 'hidden', newer: undefined }
  return copy.isRowsValue === false ? { staleness: 'different', newer: undefined } : undefined
}

function newestOf(copies: readonly (Copy | undefined)[], counts: (copy: Copy) => boolean): Copy | undefined {
  let newest: Copy | undefined
  for (const copy of copies)
    if (copy !== undefined && counts(copy) && (newest === undefined || copy.version > newest.version)) newest = copy
  return newest
}
