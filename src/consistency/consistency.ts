/**
 * The contract of a consistency check: something beside production that looks whether a copy is still served which is older than it may be.
 *
 * Everything else in the house promises that it is not so; this looks. It hears of changes, takes a share of the keys, asks each of a key's
 * owners what it holds and the store what it should be, and asks again before it says a word. It changes nothing that it looks at, and what
 * it tells holds keys, versions, nodes and ages, never values.
 */
import type { Duration } from '../options.ts'

export interface CheckOptions {
  /**
   * For how long a copy may be older than what was committed or acknowledged: the promise that is checked. What a TTL or a grace would let
   * pass is no excuse; where rows are changed behind the tier's back and nothing tells it, give that TTL. At least 10 ms. Default 2 s.
   */
  readonly bound?: Duration | undefined
  /** Which part of the changed keys is looked at, a bound after the change; the same keys each time, chosen by their hash. 0: none. Default 0.01. */
  readonly share?: number | undefined
  /** The shortest time from the beginning of one sweep over all keys to that of the next. False: no sweeps. Default 10 minutes. */
  readonly sweepEvery?: Duration | false | undefined
  /** Keys looked at a second, at most, of changes, sweeps and second looks together: 1 to 1,000,000. Default 500. */
  readonly keysPerSecond?: number | undefined
  /** How many more looks, the first of them a bound later, have to find the same before it is told: 1 to 10. Default 3. */
  readonly rechecks?: number | undefined
  /** Findings that are remembered, the latest: 1 to 10,000. All are counted. Default 100. */
  readonly maxFindings?: number | undefined
  /**
   * What is the truth. `store`: the rows behind the cache, by their versions, and where these are equal by their values. `versions`: the rows
   * by their versions alone, for a store that gives back other values than it was given (a number rounded, a time spelt otherwise). `owners`: the newest of what the owners hold. Default: the store where the cache
   * has one; a cache with one whose values come from loaders of its callers (`getOrSet`) is compared by owners.
   */
  readonly against?: 'store' | 'versions' | 'owners' | undefined
}

/**
 * In what a copy is wrong. `overtaken`: something newer was committed or acknowledged. `deleted`: the row, or what the cache held, was
 * deleted. `hidden`: there is a row, and the copy says that there is none. `different`: it is not the row's value, though of the row's version,
 * or in a store whose versions do not say which is newer.
 */
export type Staleness = 'overtaken' | 'deleted' | 'hidden' | 'different'

/** A copy that was still served longer than the bound after something newer was known. */
export interface StaleCopy {
  readonly cache: string
  readonly key: string
  /** The id of the node that holds it. */
  readonly node: string
  /** Who is served it: readers of the key's first owner, which is the default, or only those who ask another. */
  readonly owner: 'primary' | 'replica'
  readonly staleness: Staleness
  /** Of the copy, in decimal. */
  readonly version: string
  /** What it should be, in decimal: of the row, or of the newest owner; undefined where there is none. */
  readonly newer: string | undefined
  /** For how long at least it was served while it was wrong, ms. */
  readonly ageMs: number
  /** When it was told, ms since the epoch. */
  readonly foundMs: number
}

/** How many of 1, 0.9, 0.99 … it is. */
export interface Nines {
  /** -log10 of the share that was wrong, cut to one decimal: 3 is 99.9 %. */
  readonly value: number
  /** Nothing was found: at least so many, with 95 % confidence (no event in n trials: a rate below 3/n). */
  readonly isLowerBound: boolean
  /** `4.1 (5 stale in 65,000 copies)`, `≥ 4.1 (none stale in 40,000 copies)` */
  readonly text: string
}

/** Counts since the check began. */
export interface ConsistencyCounts {
  /** Looks at a key; one key may be looked at many times. */
  readonly checkedKeys: number
  /** Copies that were served and of which it is known whether they were right: the right and the stale ones. */
  readonly checkedCopies: number
  /** Of them, at their keys' first owners. */
  readonly checkedPrimaries: number
  /** Copies found stale for longer than the bound; of the same copy again at each look. */
  readonly staleCopies: number
  readonly stalePrimaries: number
  /** Distinct stale copies that were told as `consistency:violated`. */
  readonly findings: number
  /** Copies that looked wrong at first; most are changes under way. */
  readonly suspicions: number
  /** Copies that could not be judged, because their node or the store did not answer or too many others were in doubt. They are not among the checked. */
  readonly unjudged: number
  /** Changed keys of the sample that were left out, because more changed than may be looked at. */
  readonly skippedChanges: number
  /** Whole sweeps. */
  readonly sweeps: number
}

export interface SweepProgress {
  /** The node whose keys are being walked; undefined between two sweeps. */
  readonly node: string | undefined
  readonly nodesDone: number
  /** Those that are walked once more, for a node that was left out, count twice. */
  readonly nodes: number
  /** Keys met in this sweep so far, or in the last one. */
  readonly keys: number
  /** Nodes whose keys could not be walked in this sweep, or in the last one; theirs are checked as far as other nodes hold them. */
  readonly missed: readonly string[]
}

export interface ConsistencyReport extends ConsistencyCounts {
  readonly cache: string
  /** When the check began, ms since the epoch. */
  readonly sinceMs: number
  readonly boundMs: number
  /** The share of the checked copies that were right, 0 to 1; 1 before any was. */
  readonly consistency: number
  readonly nines: Nines
  /** The same for what readers of the first owner were served. */
  readonly primaryNines: Nines
  /** Copies in doubt now. */
  readonly inDoubt: number
  readonly sweep: SweepProgress
  /** The latest; at most `maxFindings`. */
  readonly stale: readonly StaleCopy[]
}

/** A check that runs; see `tier.checkConsistency`. */
export interface ConsistencyCheck {
  readonly cache: string
  report(): ConsistencyReport
  /**
   * Resolves when a whole sweep has ended, the one under way or the next, and whatever it put in doubt is settled.
   * Rejects with `ClosedError` when the check is stopped before, and with `UnsupportedError` where there are no sweeps.
   */
  swept(): Promise<ConsistencyReport>
  /** Nothing is asked until `resume`; a sweep then goes on from where it was. */
  pause(): void
  resume(): void
  /** For good; the counts stay in the tier's metrics. Resolves when nothing is being asked any more. */
  stop(): Promise<void>
}
