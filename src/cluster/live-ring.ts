/**
 * A ring that can be changed while it is asked.
 *
 * Whoever places keys keeps one object for as long as it lives, and what lies behind it is exchanged between two calls. While keys move there
 * are two rings: the one that is read and decided by, and the other, whose owners are written to besides (`also-writes.ts`), so that whichever of
 * the two a neighbour reads by, it finds what was written. In quiet times, which is nearly always, a look at one field says that
 * there is no other.
 */
import type { CacheNode } from '../node/node.ts'
import type { Ring } from '../ring/ring.ts'
import type { RingKnowledge } from './ring-knowledge.ts'

const NOBODY: readonly CacheNode[] = Object.freeze([])

export class LiveRing implements Ring<CacheNode> {
  #ring: Ring<CacheNode>
  #other: Ring<CacheNode> | undefined
  #holdsUntilMs = 0
  /** Whether it is still the fleet's. Undefined where it never changes. */
  readonly knowledge: RingKnowledge | undefined

  constructor(ring: Ring<CacheNode>, knowledge?: RingKnowledge) {
    this.#ring = ring
    this.knowledge = knowledge
  }

  /** What is read and decided by now. */
  get ring(): Ring<CacheNode> {
    return this.#ring
  }

  get members(): readonly CacheNode[] {
    return this.#ring.members
  }

  get replicas(): number {
    return this.#ring.replicas
  }

  /** Whether there are two rings. */
  get isMoving(): boolean {
    return this.#other !== undefined
  }

  ownersOf(key: string): readonly CacheNode[] {
    return this.#ring.ownersOf(key)
  }

  /** The owners by the other ring, all of them; undefined where there is none. */
  otherOwnersOf(key: string): readonly CacheNode[] | undefined {
    return this.#other?.ownersOf(key)
  }

  /** Owners by the other ring that are none by this one. */
  alsoOf(key: string): readonly CacheNode[] {
    if (this.#other === undefined) return NOBODY
    const owners = this.#ring.ownersOf(key)
    const also = this.#other.ownersOf(key).filter((owner) => !owners.includes(owner))
    return also.length === 0 ? NOBODY : also
  }

  /**
   * For how long nobody may decide a change of this key, ms; mostly 0. Others may still have its old first owner decide.
   * @param nowMs by the monotonic clock that `turn` was given
   */
  undecidedMs(key: string, nowMs: number): number {
    if (this.#other === undefined || nowMs >= this.#holdsUntilMs) return 0
    return this.#ring.ownersOf(key)[0] === this.#other.ownersOf(key)[0] ? 0 : this.#holdsUntilMs - nowMs
  }

  /**
   * From now on.
   * @param other whose owners are written to besides; undefined: no others
   * @param holdsUntilMs until when changes are not decided of keys whose first owner is another; monotonic. Default: they are at once
   */
  turn(ring: Ring<CacheNode>, other: Ring<CacheNode> | undefined, holdsUntilMs = 0): void {
    this.#ring = ring
    this.#other = other
    this.#holdsUntilMs = holdsUntilMs
  }
}
