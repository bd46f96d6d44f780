/**
 * Hints of changes that a node missed, left by this process on the keys' other owners as soon as it knows.
 *
 * They are gathered while a node is being told, so that they cost one call a node however many writes miss. One that no other owner would keep
 * yet is held here, and left when one answers again. A change that no owner took at all has nobody to copy it from, so nothing is hinted: it
 * is held here itself, and made again. Who owns a key is asked for each try, since rings change meanwhile. All of it is bounded. For a node
 * that missed more than there is room for, of what others took, one hint is left that it may have missed anything, and it is emptied; of changes that
 * no owner took what is above the bound is told of as lost, and is then old until its time is over. So a process that reaches no node at all
 * empties none, however much it writes.
 *
 * A tier that is closed leaves them all first, as far as somebody keeps them. A process that is killed between a write's acknowledgement and its hint
 * leaves none: then read repair and the key's time are what is left.
 */
import type { Clock } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, Change, NodeCall } from '../node/node.ts'
import { LATE_MS } from '../node/node.ts'
import { fullerBy, type QueueTeller, type TellQueue } from '../queues.ts'
import { leaveAnything, leaveHints } from './hint-records.ts'
import { StrayLeases } from './stray-leases.ts'

/** Behind the caller, and worth waiting for in a process that is behind with everything. */
const CALL: NodeCall = { timeoutMs: 1_000 }
/** Hints on their way, hints that wait or that nobody would keep yet, and changes that nobody took: of each so many. */
const MAX_OWED = 20_000
const MAX_OWED_BYTES = 16 * 1024 * 1024
/** Of one hint: the owners beside the one that missed it. */
const MOST_KEEPERS = 15
const MOST_AT_ONCE = 500
/** After so long no more changes are made again before the next look, ms. */
const AGAIN_MS = 250

export interface HintsParts {
  readonly clock: Clock
  readonly emit: Emit
}

/** Who owns a key, by the ring that is read and by the other while keys move: a `LiveRing`. */
export interface OwningRing {
  ownersOf(key: string): readonly CacheNode[]
  alsoOf(key: string): readonly CacheNode[]
}

/** One key that one node missed. */
interface Owed {
  readonly key: string
  /** By id. */
  readonly missing: string
  readonly ring: OwningRing
  readonly isTaken: boolean
  /** Keepers that were told and have not answered. */
  asked: number
  kept: boolean
}

/** Of a node that may have missed anything. */
interface Overflow {
  /** Who is yet to keep that. */
  readonly keepers: Set<CacheNode>
  /** Some keeper has it: what is missed from now on is hinted as ever. */
  isTold: boolean
}

interface Unheard {
  readonly change: Change
  readonly ring: OwningRing
  readonly sinceMs: number
}

export class Hints implements QueueTeller {
  readonly #parts: HintsParts
  /** By keeper and missing node. */
  readonly #waiting = new Map<CacheNode, Map<string, Map<string, Owed[]>>>()
  #waitingCount = 0
  readonly #telling = new Map<CacheNode, Promise<void>>()
  readonly #owed = new Map<string, Owed>()
  /** Nodes that missed more than there was room for, by id, with who may keep that of them. */
  readonly #overflowed = new Map<string, Overflow>()
  /** Given back with each `retry`. */
  readonly strays: StrayLeases
  readonly #unheard = new Map<string, Unheard>()
  #unheardBytes = 0
  /** Keys that were lost and not told of yet, by node. */
  readonly #untold = new Map<string, number>()
  #soon = false
  /** Owners that are being told of changes, whose answers may be hints. */
  #unanswered = 0
  #allHeard: (() => void) | undefined
  /** Since this process began. */
  readonly counts = { left: 0, lost: 0 }

  constructor(parts: HintsParts) {
    this.#parts = parts
    this.strays = new StrayLeases(parts.clock)
  }

  /** Hints and changes that are held here. */
  get owed(): number {
    return this.#owed.size + this.#unheard.size + this.#overflowed.size
  }

  tellQueues(tell: TellQueue): void {
    this.strays.tellQueues(tell)
    tell('hintsUnderWay', this.#waitingCount, MAX_OWED)
    tell('hintsHeld', this.#owed.size, MAX_OWED)
    tell('changesHeld', fullerBy(this.#unheard.size, MAX_OWED, this.#unheardBytes, MAX_OWED_BYTES), MAX_OWED)
  }

  /**
   * A change of `key` was missed by one of its owners.
   * @param isTaken whether another is known to have it: what maybe nobody has is left as long as there is room, and is nothing to empty a node for
   */
  leave(key: string, missing: CacheNode, ring: OwningRing, isTaken = true): void {
    this.#tell({ key, missing: missing.id, ring, isTaken, asked: 0, kept: false })
  }

  /**
   * No owner took this change, and it stands all the same: it is made again when they answer.
   * @param sinceMs when it was issued, ms, monotonic; default: now
   */
  remember(change: Change, ring: OwningRing, sinceMs = this.#parts.clock.monotonic()): void {
    const held = this.#unheard.get(change.key)
    if (held !== undefined && held.sinceMs > sinceMs) return
    const bytes = this.#unheardBytes + bytesOf(change) - (held === undefined ? 0 : bytesOf(held.change))
    if ((held === undefined && this.#unheard.size >= MAX_OWED) || bytes > MAX_OWED_BYTES) {
      this.lost(ring.ownersOf(change.key)[0]!.id, 1)
      return
    }
    this.#unheardBytes = bytes
    this.#unheard.set(change.key, { change, ring, sinceMs })
  }

  /** A node has left: it is owed nothing any more, and nothing is to be kept there. */
  forget({ id }: CacheNode): void {
    this.#overflowed.delete(id)
    for (const { keepers } of this.#overflowed.values()) for (const keeper of keepers) if (keeper.id === id) keepers.delete(keeper)
  }

  /** So many owners are being told of changes. */
  asked(owners: number): void {
    this.#unanswered += owners
  }

  /** One of them has answered, or failed. */
  heard(): void {
    this.#unanswered--
    if (this.#unanswered === 0) this.#allHeard?.()
  }

  /** Before the nodes are closed: hears what owners miss of changes that are on their way, and tries all that is owed once more. Never rejects. */
  async flush(): Promise<void> {
    if (this.#unanswered > 0) await new Promise<void>((resolve) => (this.#allHeard = resolve))
    let before: number
    do {
      before = this.owed
      await this.retry()
      await Promise.all(Array.from(new Set([...this.#waiting.keys(), ...this.#telling.keys()]), (keeper) => this.#leaveAll(keeper)))
    } while (this.owed > 0 && this.owed < before)
  }

  /** Tries again what is owed, and tells what was lost. Resolves when as much of it was tried as is at once; never rejects. */
  async retry(): Promise<void> {
    this.#tellLost()
    for (const [at, owed] of this.#owed) {
      if (!this.#hasRoom) break
      this.#owed.delete(at)
      this.#tell(owed)
    }
    const givenBack = this.strays.giveBack()
    await Promise.all(Array.from(this.#overflowed, ([missing, overflow]) => this.#leaveAnything(missing, overflow)))
    await this.#makeAllAgain()
    await givenBack
  }

  /** Some at a time, as long as they get through and it does not take long. Those that do not get through go to the end of the line. */
  async #makeAllAgain(): Promise<void> {
    const all = [...this.#unheard.values()]
    const beganMs = this.#parts.clock.monotonic()
    for (let from = 0; from < all.length; from += MOST_AT_ONCE) {
      const made = await Promise.all(all.slice(from, from + MOST_AT_ONCE).map((each) => this.#makeAgain(each)))
      if (!made.includes(true) || this.#parts.clock.monotonic() - beganMs > AGAIN_MS) return
    }
  }

  /** @returns whether some owner took it */
  async #makeAgain(unheard: Unheard): Promise<boolean> {
    const { change, ring, sinceMs } = unheard
    const { key } = change
    // What would refuse it, had it been overtaken, may be gone by then: so the key goes.
    const isLate = this.#parts.clock.monotonic() - sinceMs > LATE_MS / 2
    const again: Change = isLate ? { op: 'drop', key } : change
    const owners = [...ring.ownersOf(key), ...ring.alsoOf(key)]
    const statuses = await Promise.all(owners.map(async (owner) => ({ owner, status: (await owner.apply([again], CALL))[0]! })))
    const missed = statuses.filter(({ status }) => status.state === 'failed' || status.state === 'unknown')
    const isTaken = missed.length < owners.length
    if (this.#unheard.get(key) !== unheard) return isTaken
    this.#unheard.delete(key)
    if (isTaken) {
      this.#unheardBytes -= bytesOf(change)
      for (const { owner } of missed) this.leave(key, owner, ring)
    } else this.#unheard.set(key, unheard)
    return isTaken
  }

  #tell(owed: Owed): void {
    const owners = owed.ring.ownersOf(owed.key)
    const isOwner = ({ id }: CacheNode): boolean => id === owed.missing
    // Nobody reads of it what it missed.
    if (!owners.some(isOwner) && !owed.ring.alsoOf(owed.key).some(isOwner)) return
    const keepers = owners.filter((owner) => !isOwner(owner))
    if (keepers.length === 0) return
    if (this.#overflowed.get(owed.missing)?.isTold === false) this.#overflow(owed)
    else if (!this.#hasRoom) this.#hold(owed)
    else this.#gather(owed, keepers)
  }

  /** For one more on its way. */
  get #hasRoom(): boolean {
    return this.#waitingCount <= MAX_OWED - MOST_KEEPERS
  }

  #gather(owed: Owed, keepers: readonly CacheNode[]): void {
    for (const keeper of keepers) {
      this.#waitingCount++
      let waiting = this.#waiting.get(keeper)
      if (waiting === undefined) {
        waiting = new Map()
        this.#waiting.set(keeper, waiting)
      }
      let keys = waiting.get(owed.missing)
      if (keys === undefined) {
        keys = new Map()
        waiting.set(owed.missing, keys)
      }
      const ofKey = keys.get(owed.key)
      if (ofKey === undefined) keys.set(owed.key, [owed])
      else ofKey.push(owed)
      owed.asked++
    }
    if (this.#soon) return
    this.#soon = true
    this.#parts.clock.soon(() => {
      this.#soon = false
      for (const keeper of this.#waiting.keys()) void this.#leaveAll(keeper)
    })
  }

  /** Leaves with one keeper what has gathered for it, and then what gathered meanwhile. */
  #leaveAll(keeper: CacheNode): Promise<void> | undefined {
    let telling = this.#telling.get(keeper)
    if (telling === undefined && this.#waiting.has(keeper)) {
      telling = this.#leaveEach(keeper)
      this.#telling.set(keeper, telling)
    }
    return telling
  }

  async #leaveEach(keeper: CacheNode): Promise<void> {
    for (let waiting = this.#waiting.get(keeper); waiting !== undefined; waiting = this.#waiting.get(keeper)) {
      this.#waiting.delete(keeper)
      for (const [missing, keys] of waiting) await this.#leaveFor(keeper, missing, [...keys])
    }
    this.#telling.delete(keeper)
  }

  async #leaveFor(keeper: CacheNode, missing: string, keys: readonly (readonly [string, readonly Owed[]])[]): Promise<void> {
    for (let from = 0; from < keys.length; from += MOST_AT_ONCE) {
      const some = keys.slice(from, from + MOST_AT_ONCE)
      let kept = true
      try {
        const nowUs = this.#parts.clock.now() * 1_000
        await leaveHints(
          keeper,
          missing,
          some.map(([key]) => key),
          nowUs,
          CALL,
        )
        this.counts.left += some.length
      } catch {
        kept = false
      }
      for (const [, all] of some) for (const owed of all) this.#answered(owed, kept)
    }
  }

  #answered(owed: Owed, kept: boolean): void {
    owed.asked--
    this.#waitingCount--
    if (kept) owed.kept = true
    if (owed.asked === 0 && !owed.kept) this.#hold(owed)
  }

  /** Until it can be left. */
  #hold(owed: Owed): void {
    const at = `${owed.missing} ${owed.key}`
    const held = this.#owed.get(at)
    if (held === undefined && this.#owed.size >= MAX_OWED) this.#overflow(owed)
    else if (held?.isTaken !== true) this.#owed.set(at, owed)
  }

  #overflow({ key, missing, ring, isTaken }: Owed): void {
    this.lost(missing, 1)
    if (!isTaken) return
    const keepers = ring.ownersOf(key).filter(({ id }) => id !== missing)
    const known = this.#overflowed.get(missing)
    if (known?.isTold === false) {
      for (const keeper of keepers) known.keepers.add(keeper)
      return
    }
    this.#overflowed.set(missing, { keepers: new Set([...keepers, ...(known?.keepers ?? [])]), isTold: false })
    // One that may have missed anything has missed these as well.
    for (const [at, owed] of this.#owed) {
      if (owed.missing !== missing) continue
      this.#owed.delete(at)
      this.lost(missing, 1)
    }
  }

  /** With all that may keep it, as a hint is: whoever of them answers has to know. */
  async #leaveAnything(missing: string, overflow: Overflow): Promise<void> {
    await Promise.all(
      Array.from(overflow.keepers, async (keeper) => {
        try {
          await leaveAnything(keeper, missing, this.#parts.clock.now() * 1_000, CALL)
        } catch {
          return
        }
        overflow.isTold = true
        overflow.keepers.delete(keeper)
      }),
    )
    if (overflow.keepers.size === 0 && this.#overflowed.get(missing) === overflow) this.#overflowed.delete(missing)
  }

  /** Changes that this node, by its id, will miss: there is no room to remember them. Told with the next try. */
  lost(node: string, keys: number): void {
    this.counts.lost += keys
    this.#untold.set(node, (this.#untold.get(node) ?? 0) + keys)
  }

  #tellLost(): void {
    for (const [node, keys] of this.#untold) this.#parts.emit('hints:lost', { node, keys })
    this.#untold.clear()
  }
}

function bytesOf(change: Change): number {
  return change.key.length + ('bytes' in change ? change.bytes.length : 0) + 64
}
