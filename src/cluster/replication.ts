/**
 * One call's changes on their way to all owners: counts answers, and says of each change when its fate is decided.
 *
 * A change is acknowledged as soon as `level` owners have answered that they hold it or something newer, the first of them among those
 * unless it failed: for that is the one that readers ask. It fails as soon as so many have failed that the level cannot be reached. The call resolves once every change is decided; owners that answer later are still
 * listened to, and those that never took what others took are named to the listener.
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

/** Told of an owner that did not take some changes of a call. */
export type MissedListener = (node: CacheNode, changes: number, reason: string) => void

interface Progress {
  held: number
  failed: number
  newest: bigint | undefined
  /** Whether the key's first owner has answered, or failed. */
  primaryHeard: boolean
  decided: Replicated | undefined
}

const APPLIED: Replicated = Object.freeze({ state: 'applied' })

export class Replication {
  readonly #owners: number
  readonly #needed: number
  readonly #progress: Progress[]
  readonly #missed: MissedListener
  readonly #resolve: (results: Replicated[]) => void
  #undecided: number

  /** @param owners how many owners each change has, which is what `level` is counted in */
  constructor(changes: number, owners: number, level: WriteLevel, missed: MissedListener, resolve: (results: Replicated[]) => void) {
    this.#owners = owners
    this.#needed = level === 'one' ? 1 : level === 'all' ? owners : Math.floor(owners / 2) + 1
    this.#progress = Array.from({ length: changes }, () => ({
      held: 0,
      failed: 0,
      newest: undefined,
      primaryHeard: level === 'one',
      decided: undefined,
    }))
    this.#undecided = changes
    this.#missed = missed
    this.#resolve = resolve
  }

  send(node: CacheNode, part: NodePart, call: NodeCall): void {
    node.apply(part.changes, call).then((statuses) => this.#hear(node, part, statuses))
  }

  /** Counts the first owner, which is known to hold the change already. */
  acknowledge(position: number): void {
    this.#progress[position]!.held++
    this.#progress[position]!.primaryHeard = true
    this.#decide(position, undefined)
  }

  #hear(node: CacheNode, { positions, primary }: NodePart, statuses: readonly Status[]): void {
    let missed = 0
    let reason: RingtailError | undefined
    for (let at = 0; at < positions.length; at++) {
      const status = statuses[at]!
      const progress = this.#progress[positions[at]!]!
      if (primary[at]!) progress.primaryHeard = true
      if (status.state === 'applied') {
        progress.held++
        this.#decide(positions[at]!, undefined)
      } else if (status.state === 'refused') {
        progress.held++
        if (progress.newest === undefined || status.version > progress.newest) progress.newest = status.version
        this.#decide(positions[at]!, undefined)
      } else {
        progress.failed++
        missed++
        reason = status.error
        this.#decide(positions[at]!, status.error)
      }
    }
    if (reason !== undefined) this.#missed(node, missed, reason.message)
  }

  #decide(position: number, error: RingtailError | undefined): void {
    const progress = this.#progress[position]!
    if (progress.decided !== undefined) return
    if (progress.held >= this.#needed && progress.primaryHeard) {
      progress.decided = progress.newest === undefined ? APPLIED : { state: 'refused', version: progress.newest }
    } else if (progress.failed > this.#owners - this.#needed) {
      const message = `${progress.held} of ${this.#owners} owners took the change, but ${this.#needed} were needed`
      progress.decided = { state: 'unacknowledged', error: new UnacknowledgedError(message, { cause: error }) }
    } else {
      return
    }
    this.#undecided--
    if (this.#undecided === 0) this.#resolve(this.#progress.map((each) => each.decided!))
  }
}
