/**
 * One call's changes on their way to all owners: counts answers, and says of each change when its fate is decided.
 *
 * A change is acknowledged as soon as `level` owners have answered that they hold it or something newer, the first of them among those
 * unless it failed: for that is the one that readers ask. At level `one` any owner that took it will do; that it was overtaken is for the
 * first owner to say. One that the first owner refused is decided when as many as the level needs have refused it, or all were heard: whoever
 * makes it once more has to know whether it can have been seen. It fails as soon as so many have failed that the level cannot be reached. The
 * call resolves once every change is decided; owners that answer later are still listened to, and those that never took what others took
 * are named to the listener. (`single-replication.ts` is the same for the one change of a single write.)
 */
import { type RingtailError, UnacknowledgedError } from '../errors.ts'
import type { CacheNode, Change, NodeCall, Status } from '../node/node.ts'
import type { Replicated, WriteLevel } from './cluster.ts'

/** The changes of one call that one node owns, with their positions in the call. */
export interface NodePart {
  readonly changes: Change[]
  readonly positions: number[]
  /** Whether the node is the first owner of the key, for each of them. */
  readonly primary: boolean[]
}

export type NodeParts = Map<CacheNode, NodePart>

/** Adds a change to what each of its owners is sent, but for `except`, which has it. */
export function addToParts(parts: NodeParts, change: Change, position: number, owners: readonly CacheNode[], except?: CacheNode): void {
  for (const owner of owners) {
    if (owner === except) continue
    let part = parts.get(owner)
    if (part === undefined) {
      part = { changes: [], positions: [], primary: [] }
      parts.set(owner, part)
    }
    part.changes.push(change)
    part.positions.push(position)
    part.primary.push(owner === owners[0])
  }
}

/** Told of what did not get to where it should be. */
export interface MissedListener {
  /** So many owners are told of changes; each of them is yet to answer, or to fail. */
  asked(owners: number): void
  /** One of them has, and what it missed was told. */
  heard(): void
  /** An owner did not take some changes of a call. */
  missed(node: CacheNode, changes: readonly Change[], reason: string): void
  /** An owner lacks a change. @param isTaken whether another is known to have it: it is told of once that is so */
  lacks(node: CacheNode, change: Change, isTaken: boolean): void
  /** No owner is known to have taken this change. @param lacking all of them @param isUnknown whether one may have */
  unheard(change: Change, lacking: readonly CacheNode[], isUnknown: boolean): void
}

interface Progress {
  held: number
  /** Those that did not take it. */
  readonly lacking: CacheNode[]
  /** Whether one of those may have taken it. */
  isUnknown: boolean
  newest: bigint | undefined
  /** Whether the key's first owner refused it. */
  byPrimary: boolean
  refusals: number
  /** Whether the key's first owner has answered, or failed. */
  primaryHeard: boolean
  decided: Replicated | undefined
}

export const APPLIED: Replicated = Object.freeze({ state: 'applied' })

/** How many of a key's owners must hold a change before it is acknowledged. */
export function neededOf(level: WriteLevel, owners: number): number {
  return level === 'one' ? 1 : level === 'all' ? owners : Math.floor(owners / 2) + 1
}

export function refused(version: bigint, byPrimary: boolean, unseen: boolean): Replicated {
  if (!byPrimary) return { state: 'refused', version }
  return unseen ? { state: 'refused', version, byPrimary, unseen } : { state: 'refused', version, byPrimary }
}

export function unreached(held: number, owners: number, needed: number, cause: RingtailError | undefined): Replicated {
  const message = `${held} of ${owners} owners took the change, but ${needed} were needed`
  return { state: 'unacknowledged', error: new UnacknowledgedError(message, { cause }) }
}

export class Replication {
  readonly #owners: number
  readonly #needed: number
  /** Whether any owner that took it will do, rather than the first among them. */
  readonly #anyWillDo: boolean
  readonly #progress: Progress[]
  readonly #listener: MissedListener
  readonly #resolve: (results: Replicated[]) => void
  #undecided: number

  /** @param owners how many owners each change has, which is what `level` is counted in */
  constructor(changes: number, owners: number, level: WriteLevel, listener: MissedListener, resolve: (results: Replicated[]) => void) {
    this.#owners = owners
    this.#needed = neededOf(level, owners)
    this.#anyWillDo = level === 'one'
    this.#progress = Array.from({ length: changes }, () => ({
      held: 0,
      lacking: [],
      isUnknown: false,
      newest: undefined,
      byPrimary: false,
      refusals: 0,
      primaryHeard: false,
      decided: undefined,
    }))
    this.#undecided = changes
    this.#listener = listener
    this.#resolve = resolve
  }

  send(node: CacheNode, part: NodePart, call: NodeCall): void {
    this.#listener.asked(1)
    node.apply(part.changes, call).then((statuses) => this.#hear(node, part, statuses))
  }

  /** Counts an owner that is known to hold the change already. @param primary whether it is the key's first */
  acknowledge(position: number, primary: boolean): void {
    this.#progress[position]!.held++
    if (primary) this.#progress[position]!.primaryHeard = true
    this.#decide(position, undefined)
  }

  #hear(node: CacheNode, { changes, positions, primary }: NodePart, statuses: readonly Status[]): void {
    const missed: Change[] = []
    let reason: RingtailError | undefined
    for (let at = 0; at < positions.length; at++) {
      const status = statuses[at]!
      const progress = this.#progress[positions[at]!]!
      if (primary[at]!) progress.primaryHeard = true
      if (status.state === 'applied') {
        this.#hold(progress, changes[at]!)
        this.#decide(positions[at]!, undefined)
      } else if (status.state === 'refused') {
        this.#hold(progress, changes[at]!)
        progress.refusals++
        if (primary[at]!) progress.byPrimary = true
        if (progress.newest === undefined || status.version > progress.newest) progress.newest = status.version
        this.#decide(positions[at]!, undefined)
      } else {
        progress.lacking.push(node)
        if (status.state === 'unknown') progress.isUnknown = true
        missed.push(changes[at]!)
        if (progress.held > 0) this.#listener.lacks(node, changes[at]!, true)
        if (progress.lacking.length === this.#owners) this.#listener.unheard(changes[at]!, progress.lacking, progress.isUnknown)
        reason = status.error
        this.#decide(positions[at]!, status.error)
      }
    }
    if (reason !== undefined) this.#listener.missed(node, missed, reason.message)
    this.#listener.heard()
  }

  #hold(progress: Progress, change: Change): void {
    if (progress.held++ === 0) for (const node of progress.lacking) this.#listener.lacks(node, change, true)
  }

  #decide(position: number, error: RingtailError | undefined): void {
    const progress = this.#progress[position]!
    if (progress.decided !== undefined) return
    // That it was overtaken is for the first owner to say, at whatever level.
    const heardAll = progress.held + progress.lacking.length === this.#owners
    const unseen = progress.byPrimary && progress.refusals >= this.#needed
    const enough = heardAll || (progress.byPrimary ? unseen : progress.primaryHeard || (this.#anyWillDo && progress.newest === undefined))
    if (progress.held >= this.#needed && enough) {
      progress.decided = progress.newest === undefined ? APPLIED : refused(progress.newest, progress.byPrimary, unseen)
    } else if (progress.lacking.length > this.#owners - this.#needed) {
      progress.decided = unreached(progress.held, this.#owners, this.#needed, error)
    } else {
      return
    }
    this.#undecided--
    if (this.#undecided === 0) this.#resolve(this.#progress.map((each) => each.decided!))
  }
}
