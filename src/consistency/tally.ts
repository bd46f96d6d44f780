/**
 * What a check has counted and found, and the report that is made of it.
 *
 * Findings are remembered up to a limit, the latest; one that is met again, the same entry on the same node, is counted again as a stale copy,
 * for that is what its readers get, but told only once.
 */
import type { ConsistencyCounts, StaleCopy } from './consistency.ts'
import type { Sight } from './looker.ts'
import { idOf, isSameEntry } from './suspicions.ts'

type Counted = { -readonly [Name in keyof ConsistencyCounts]: ConsistencyCounts[Name] }

export class Tally {
  readonly counts: Counted = {
    checkedKeys: 0,
    checkedCopies: 0,
    checkedPrimaries: 0,
    staleCopies: 0,
    stalePrimaries: 0,
    findings: 0,
    suspicions: 0,
    unjudged: 0,
    skippedChanges: 0,
    sweeps: 0,
  }
  readonly #maxFindings: number
  readonly #found = new Map<string, { readonly sight: Sight; readonly stale: StaleCopy }>()

  constructor(maxFindings: number) {
    this.#maxFindings = maxFindings
  }

  get stale(): StaleCopy[] {
    return Array.from(this.#found.values(), ({ stale }) => stale)
  }

  isKnown(sight: Sight): boolean {
    const found = this.#found.get(idOf(sight))
    return found !== undefined && isSameEntry(found.sight, sight)
  }

  right({ isPrimary }: Sight): void {
    this.counts.checkedCopies++
    if (isPrimary) this.counts.checkedPrimaries++
  }

  wrong(sight: Sight): void {
    this.right(sight)
    this.counts.staleCopies++
    if (sight.isPrimary) this.counts.stalePrimaries++
  }

  found(sight: Sight, stale: StaleCopy): void {
    const id = idOf(sight)
    this.counts.findings++
    this.#found.delete(id)
    if (this.#found.size === this.#maxFindings) this.#found.delete(this.#found.keys().next().value!)
    this.#found.set(id, { sight, stale })
  }
}
