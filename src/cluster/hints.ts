/**
 * Hints of changes that a node missed, left by this process on the keys' other owners as soon as it knows.
 *
 * They are gathered while a node is being told, so that they cost one call a node however many writes miss. One that no other owner would keep
 * yet is held here, and left when one answers again. A change that no owner took at all has nobody to copy it from: it is held here itself,
 * and made again. All of it is bounded. For a node that missed more than there is room for one hint is left that it may have missed anything, and it is
 * emptied; of changes that no owner took what is above the bound is told of as lost, and is then old until its time is over.
 *
 * A process that ends between a write's acknowledgement and its hint leaves none: then read repair and the key's time are what is left.
 */
import type { Clock } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, Change, NodeCall } from '../node/node.ts'
import { LATE_MS } from '../node/node.ts'
import { leaveAnything, leaveHints } from './hint-records.ts'

/** Behind the caller, and worth waiting for in a process that is behind with everything. */
const CALL: NodeCall = { timeoutMs: 1_000 }
/** Hints on their way, hints that nobody would keep yet, and changes that nobody took: of each so many. */
const MAX_OWED = 20_000
const MAX_OWED_BYTES = 16 * 1024 * 1024
const MOST_AT_ONCE = 500

export interface HintsParts {
  readonly clock: Clock
  readonly emit: Emit
}

/** One key that one node missed. */
interface Owed {
  readonly key: string
  readonly missing: CacheNode
  readonly keepers: readonly CacheNode[]
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
  readonly owners: readonly CacheNode[]
  readonly sinceMs: number
}

export class Hints {
  readonly #parts: HintsParts
  /** By keeper and missing node. */
  readonly #waiting = new Map<CacheNode, Map<string, Map<string, Owed[]>>>()
  #waitingCount = 0
  readonly #telling = new Set<CacheNode>()
  readonly #owed = new Map<string, Owed>()
  /** Nodes that missed more than there was room for, with who may keep that of them. */
  readonly #overflowed = new Map<CacheNode, Overflow>()
  readonly #unheard = new Map<string, Unheard>()
  #unheardBytes = 0
  #soon = false
  /** Since this process began. */
  readonly counts = { left: 0, lost: 0 }

  constructor(parts: HintsParts) {
    this.#parts = parts
  }

  /** Hints and changes that are held here. */
  get owed(): number {
    return this.#owed.size + this.#unheard.size + this.#overflowed.size
  }

  /** A change of `key` was missed by one of its owners, and may have been taken by the others. */
  leave(key: string, missing: CacheNode, owners: readonly CacheNode[]): void {
    const keepers = owners.filter(({ id }) => id !== missing.id)
    if (keepers.length === 0) return
    this.#tell({ key, missing, keepers, asked: 0, kept: false })
  }

  /**
   * No owner took this change, and it stands all the same: it is made again when they answer.
   * @param sinceMs when it was issued, ms, monotonic; default: now
   */
  remember(change: Change, owners: readonly CacheNode[], sinceMs = this.#parts.clock.monotonic()): void {
    const bytes = bytesOf(change)
    const held = this.#unheard.get(change.key)
    if (held !== undefined && held.sinceMs > sinceMs) return
    if (held === undefined && (this.#unheard.size >= MAX_OWED || this.#unheardBytes + bytes > MAX_OWED_BYTES)) {
      this.lost(owners[0]!, 1)
      return
    }
    this.#unheardBytes += bytes - (held === undefined ? 0 : bytesOf(held.change))
    this.#unheard.set(change.key, { change, owners, sinceMs })
  }

  /** Tries again what is owed. Resolves when all of it was tried; never rejects. */
  async retry(): Promise<void> {
    const owed = [...this.#owed.values()]
    this.#owed.clear()
    for (const each of owed) this.#tell(each)
    await Promise.all(Array.from(this.#overflowed, ([missing, overflow]) => this.#leaveAnything(missing, overflow)))
    await Promise.all(Array.from([...this.#unheard.values()].slice(0, MOST_AT_ONCE), (each) => this.#makeAgain(each)))
  }

  async #makeAgain(unheard: Unheard): Promise<void> {
    const { change, owners, sinceMs } = unheard
    // What would refuse it, had it been overtaken, may be gone by then: so the key goes.
    const isLate = this.#parts.clock.monotonic() - sinceMs > LATE_MS / 2
    const again: Change = isLate ? { op: 'drop', key: change.key } : change
    const statuses = await Promise.all(owners.map(async (owner) => ({ owner, status: (await owner.apply([again], CALL))[0]! })))
    const missed = statuses.filter(({ status }) => status.state === 'failed' || status.state === 'unknown')
    if (this.#unheard.get(change.key) !== unheard || missed.length === owners.length) return
    this.#unheard.delete(change.key)
    this.#unheardBytes -= bytesOf(change)
    for (const { owner } of missed) this.leave(change.key, owner, owners)
  }

  #tell(owed: Owed): void {
    if (this.#waitingCount >= MAX_OWED || this.#overflowed.get(owed.missing)?.isTold === false) {
      this.#overflow(owed)
      return
    }
    for (const keeper of owed.keepers) {
      this.#waitingCount++
      let waiting = this.#waiting.get(keeper)
      if (waiting === undefined) {
        waiting = new Map()
        this.#waiting.set(keeper, waiting)
      }
      let keys = waiting.get(owed.missing.id)
      if (keys === undefined) {
        keys = new Map()
        waiting.set(owed.missing.id, keys)
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
  async #leaveAll(keeper: CacheNode): Promise<void> {
    if (this.#telling.has(keeper)) return
    this.#telling.add(keeper)
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
    if (owed.asked > 0 || owed.kept) return
    if (this.#owed.size < MAX_OWED) this.#owed.set(`${owed.missing.id} ${owed.key}`, owed)
    else this.#overflow(owed)
  }

  #overflow({ missing, keepers }: Owed): void {
    const known = this.#overflowed.get(missing)
    this.counts.lost++
    if (known?.isTold === false) {
      for (const keeper of keepers) known.keepers.add(keeper)
      return
    }
    this.#overflowed.set(missing, { keepers: new Set([...keepers, ...(known?.keepers ?? [])]), isTold: false })
    // One that may have missed anything has missed these as well.
    for (const [at, owed] of this.#owed) if (owed.missing === missing) this.#owed.delete(at)
    this.#parts.emit('hints:lost', { node: missing.id, keys: 1 })
  }

  /** With all that may keep it, as a hint is: whoever of them answers has to know. */
  async #leaveAnything(missing: CacheNode, overflow: Overflow): Promise<void> {
    await Promise.all(
      Array.from(overflow.keepers, async (keeper) => {
        try {
          await leaveAnything(keeper, missing.id, this.#parts.clock.now() * 1_000, CALL)
        } catch {
          return
        }
        overflow.isTold = true
        overflow.keepers.delete(keeper)
      }),
    )
    if (overflow.keepers.size === 0 && this.#overflowed.get(missing) === overflow) this.#overflowed.delete(missing)
  }

  /** Changes that this node will miss: there is no room to remember them. */
  lost(node: CacheNode, keys: number): void {
    this.counts.lost += keys
    this.#parts.emit('hints:lost', { node: node.id, keys })
  }
}

function bytesOf(change: Change): number {
  return change.key.length + ('bytes' in change ? change.bytes.length : 0) + 64
}
