/**
 * Sees to it that a node which missed changes is read only when it has them.
 *
 * Every process looks three times a second, with one call a node, at what hints its nodes keep for each other, and at each node's record. A node
 * that was away, for this process, or whose server was started anew, is doubted: it is `returning`, reads ask others first, until all
 * hints that there were when it came back are gone. One with hints that stay, because it refuses what is copied to it, is returning as well.
 * Of all processes one at a time sees to a node, by a lock that it holds on the node:
 *
 *     hints for it            each key's entry as it now is on the node that keeps the hint is put on it; then the hint is taken away
 *     more than were kept     everything of Ringtail's that it holds is dropped, for any of it may be old
 *     its server began anew   the same, unless it came back empty
 *
 * A node that was emptied lacks what others have: for a while its misses count for nothing, the other owners are asked, and what they have is
 * put on it (`Standing.filling`). So it gets warm from its peers, key by key as they are read, and not from the database.
 *
 * What is promised: once it is `up` again it serves nothing older than what was acknowledged before it came back. Of what it misses
 * while it is up for some and away for others, readers see the newest within a second.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, NodeCall } from '../node/node.ts'
import { type HintsLook, type KeeperLook, leaveAnything, lookForHints, takeHintsAway } from './hint-records.ts'
import type { Hints } from './hints.ts'
import { NODE_RECORD, type NodeRecord, readRecord, writeRecord } from './node-record.ts'
import { Recovery } from './recovery.ts'

export interface CatchUpParts {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  readonly hints: Hints
  /** On how many nodes each key lives, as far as there are so many. */
  readonly replicas: number
  /** Told when a node is not to be read, as it may have missed changes or is known to have, and when it is to be again. */
  readonly mark: (node: string, mark: 'returning' | 'behind' | undefined) => void
  /** Told when a node was emptied, ms since the epoch; 0: long ago. */
  readonly fill: (node: string, emptiedMs: number) => void
}

/** Between two looks, ms; drawn from this on to half as much again. */
const EVERY_MS = 250
/** Of a look at one node; longer, up to the longest, where most did not answer the last, for then it is this process that is behind, ms. */
const LOOK_MS = 150
const LONGEST_LOOK_MS = 1_200
const CALL: NodeCall = { timeoutMs: 250 }
/** A node for which hints lie as long as this is not read, µs. */
const BEHIND_US = 500_000
/** So long after the last look that enough living nodes answered, it is not known any more who has missed changes, ms. */
const INFORMED_MS = 1_000
/** For how long the misses of a node that was emptied count for nothing, ms. */
const FILLING_MS = 600_000
/** What the first looks may take before the tier is used, ms; and how many they are. */
const FIRST_LOOKS_MS = 500
const FIRST_LOOKS = 3

/** What this process knows of one node. */
class Ward {
  readonly node: CacheNode
  /** It was away, or began anew: not read until `since`'s hints are gone. */
  doubted = true
  /** By keeper, what its time was when the doubt began; cleared by each new doubt, µs. */
  readonly since = new Map<string, number>()
  behind = false
  emptiedMs = 0
  /** The run in which this process found it fit to be read. */
  trustedAs: string | undefined
  isSeenTo = false

  constructor(node: CacheNode) {
    this.node = node
  }
}

type Looks = ReadonlyMap<Ward, KeeperLook>

/** What one keeper has for one node. */
interface KeptFor {
  readonly keeper: Ward
  readonly look: KeeperLook
  readonly hints: HintsLook
}

/** Whether a hint lies there for longer than a node may be without what it names. */
function isOld({ look, hints }: KeptFor): boolean {
  return hints.oldestUs !== undefined && look.nowUs - hints.oldestUs > BEHIND_US
}

export class CatchUp {
  readonly #parts: CatchUpParts
  readonly #recovery: Recovery
  #wards: readonly Ward[]
  /** Positions of wards count while a look is under way, so that they leave before the next. */
  readonly #leaving = new Set<string>()
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #again = false
  #lookMs = LOOK_MS
  /** When the last look began that enough living nodes answered, ms, monotonic. */
  #informedMs = 0
  /** Nodes that are being seen to. */
  readonly #works = new Set<Promise<void>>()
  #stopped = true

  constructor(nodes: readonly CacheNode[], parts: CatchUpParts) {
    this.#parts = parts
    this.#wards = nodes.map((node) => new Ward(node))
    this.#recovery = new Recovery({ clock: parts.clock, by: Math.floor(parts.random() * 2 ** 48).toString(36) })
  }

  /** Sees to this node too. */
  add(node: CacheNode): void {
    this.#wards = [...this.#wards, new Ward(node)]
    this.#leaving.delete(node.id)
    this.#parts.mark(node.id, 'returning')
    this.doubt(node.id)
  }

  /** From the next look on the node is nobody's concern. */
  remove(node: CacheNode): void {
    this.#leaving.add(node.id)
    this.#parts.hints.forget(node)
  }

  /** Looks at once, and from then on until `stop`. Resolves when those that answer have been seen to, or when that takes too long; never rejects. */
  async start(): Promise<void> {
    this.#stopped = false
    this.#informedMs = this.#parts.clock.monotonic()
    for (const { node } of this.#wards) this.#parts.mark(node.id, 'returning')
    let timer: Timer | undefined
    const late = new Promise<void>((resolve) => {
      timer = this.#parts.clock.after(FIRST_LOOKS_MS, resolve)
    })
    await Promise.race([this.#firstLooks(), late])
    timer!.cancel()
  }

  /** Leaves no timer. What is under way ends with the calls that were made. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Whether it is long that this process heard which nodes have missed changes: it was held up, or those that live do not answer it. */
  get isUninformed(): boolean {
    return !this.#stopped && this.#parts.clock.monotonic() - this.#informedMs > INFORMED_MS
  }

  /** The node was away for this process, or began anew: to be marked by the caller as returning, until it is known to have missed nothing. */
  doubt(node: string): void {
    const ward = this.#wards.find((each) => each.node.id === node)
    if (ward === undefined) return
    ward.doubted = true
    ward.since.clear()
    if (!this.#stopped) this.#parts.clock.soon(() => void this.look())
  }

  /** One look now; while one is under way, another after it. Never rejects. */
  look(): Promise<void> {
    this.#again = true
    this.#looking ??= this.#lookWhileAsked().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #firstLooks(): Promise<void> {
    for (let nth = 1; nth <= FIRST_LOOKS && this.#wards.some(({ doubted, behind }) => doubted || behind); nth++) {
      await this.look()
      await Promise.all(this.#works)
    }
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      this.#timer?.cancel()
      await this.#lookOnce()
    }
    if (this.#stopped) return
    const { clock, random } = this.#parts
    this.#timer = clock.after(EVERY_MS * (1 + random() / 2), () => void this.look())
  }

  async #lookOnce(): Promise<void> {
    if (this.#leaving.size > 0) this.#wards = this.#wards.filter(({ node }) => !this.#leaving.has(node.id))
    this.#leaving.clear()
    const retried = this.#parts.hints.retry()
    const looks = new Map<Ward, KeeperLook>()
    const beganMs = this.#parts.clock.monotonic()
    const wards = this.#wards
    await Promise.all(
      wards.map(async (ward) => {
        const look = await this.#lookAt(ward).catch(() => undefined)
        if (look !== undefined) looks.set(ward, look)
      }),
    )
    const isBehind = looks.size * 2 < this.#wards.length
    if (this.#isInformedBy(looks)) this.#informedMs = beganMs
    this.#lookMs = isBehind ? Math.min(2 * this.#lookMs, LONGEST_LOOK_MS) : LOOK_MS
    // Nobody was asked what is kept for one that came meanwhile.
    for (const ward of wards) {
      if (looks.has(ward)) this.#judge(ward, looks)
      else if (this.#keptFor(ward, looks).some(isOld)) this.#setBehind(ward, true)
    }
    await retried
  }

  #lookAt({ node }: Ward): Promise<KeeperLook> {
    const nowUs = this.#parts.clock.now() * 1_000
    const ids = this.#wards.map((each) => each.node.id)
    return lookForHints(node, ids, nowUs, { timeoutMs: this.#lookMs })
  }

  #judge(ward: Ward, looks: Looks): void {
    const { node } = ward
    const { record } = looks.get(ward)!
    const kept = this.#keptFor(ward, looks)
    if (this.#beganAnew(ward, record) || kept.some(({ hints }) => hints.anything)) {
      this.#setBehind(ward, true)
      this.#seeTo(ward, () => this.#renew(ward, looks))
      return
    }
    if (node.incarnation !== undefined) ward.trustedAs = node.incarnation
    this.#setFilling(ward, record)
    for (const { keeper, look } of kept) if (!ward.since.has(keeper.node.id)) ward.since.set(keeper.node.id, look.nowUs)
    const lie = kept.filter(({ hints }) => hints.oldestUs !== undefined)
    if (lie.length > 0) {
      const keepers = lie.map(({ keeper }) => keeper)
      this.#seeTo(ward, () => this.#copy(ward, keepers))
    }
    // As many as hold a key beside it may be away but one: each hint is kept by all that took the change.
    const unheard = this.#wards.length - 1 - kept.length
    const isKnown = unheard < Math.max(1, this.#othersOfKey)
    const hasMissed = lie.some(({ keeper, hints }) => hints.oldestUs! <= ward.since.get(keeper.node.id)!)
    if (ward.doubted && isKnown && !hasMissed) ward.doubted = false
    const isBehind = lie.some(isOld)
    if (ward.behind && !isBehind && !isKnown) {
      // What it is behind with may lie where nobody answered now.
      ward.doubted = true
      ward.since.clear()
    }
    this.#setBehind(ward, isBehind)
  }

  /** Nodes that look dead could not be heard however late this process was; of the others as many may be silent as are each others' keepers but one. */
  #isInformedBy(looks: Looks): boolean {
    const living = this.#wards.filter(({ node }) => node.standing?.looksDead !== true)
    const unheard = living.filter((ward) => !looks.has(ward)).length
    return living.length > unheard && unheard < Math.max(1, this.#othersOfKey)
  }

  /** How many nodes hold a key beside one that does. */
  get #othersOfKey(): number {
    return Math.min(this.#parts.replicas, this.#wards.length) - 1
  }

  #keptFor(ward: Ward, looks: Looks): KeptFor[] {
    const at = this.#wards.indexOf(ward)
    return [...looks].filter(([keeper]) => keeper !== ward).map(([keeper, look]) => ({ keeper, look, hints: look.kept[at]! }))
  }

  /** Nodes without runs, in this process, begin once. */
  #beganAnew({ node }: Ward, record: NodeRecord | undefined): boolean {
    return node.incarnation !== undefined && record?.incarnation !== node.incarnation
  }

  #setBehind(ward: Ward, behind: boolean): void {
    ward.behind = behind
    this.#parts.mark(ward.node.id, behind ? 'behind' : ward.doubted ? 'returning' : undefined)
  }

  #setFilling(ward: Ward, record: NodeRecord | undefined): void {
    const isFilling = record !== undefined && this.#parts.clock.now() - record.emptiedMs < FILLING_MS
    const emptiedMs = isFilling ? record.emptiedMs : 0
    if (emptiedMs === ward.emptiedMs) return
    ward.emptiedMs = emptiedMs
    this.#parts.fill(ward.node.id, emptiedMs)
  }

  /** One thing at a time for a node; what has been seen to is looked at again at once. */
  #seeTo(ward: Ward, work: () => Promise<boolean>): void {
    if (ward.isSeenTo) return
    ward.isSeenTo = true
    const seeing = this.#seeing(ward, work).finally(() => this.#works.delete(seeing))
    this.#works.add(seeing)
  }

  async #seeing(ward: Ward, work: () => Promise<boolean>): Promise<void> {
    try {
      if ((await this.#recovery.mayGoOn(ward.node)) && (await work()) && !this.#stopped) void this.look()
    } catch {
      // Who did not answer is looked at again with the next look.
    } finally {
      ward.isSeenTo = false
    }
  }

  async #copy({ node }: Ward, keepers: readonly Ward[]): Promise<boolean> {
    let [copied, dropped, complete] = [0, 0, true]
    for (const keeper of keepers) {
      const one = await this.#recovery.copyHinted(node, keeper.node)
      copied += one.copied
      dropped += one.dropped
      complete &&= one.complete
    }
    if (copied + dropped > 0) this.#parts.emit('node:caught-up', { node: node.id, copied, dropped })
    return complete
  }

  /** Its server began anew, or more was missed than is known. */
  async #renew(ward: Ward, looks: Looks): Promise<boolean> {
    const { node } = ward
    const { incarnation } = node
    const nowMs = this.#parts.clock.now()
    const bytes = await node.control.get(NODE_RECORD, CALL)
    const record = readRecord(bytes)
    const kept = this.#keptFor(ward, looks)
    const overflown = kept.filter(({ hints }) => hints.anything)
    // Another process may have seen to it since it was looked at.
    if (overflown.length === 0 && !this.#beganAnew(ward, record)) return true
    // One that has lost its record and nothing else has been emptied by somebody, in the run in which it was trusted.
    const wasFlushed = overflown.length === 0 && record === undefined && ward.trustedAs === incarnation
    const isEmpty = wasFlushed || (await node.stats(CALL)).entries === 0
    const dropped = isEmpty ? 0 : await this.#recovery.empty(node)
    if (dropped === undefined) return false
    for (const { keeper, hints } of overflown) await takeHintsAway(keeper.node, node.id, [{ key: '', leftUs: hints.oldestUs! }], CALL)
    await this.#leaveDoubts(ward, looks)
    const next: NodeRecord = { incarnation: incarnation ?? '', emptiedMs: nowMs }
    const isWritten = await node.control.compareAndSet(NODE_RECORD, bytes, writeRecord(next), CALL)
    if (isWritten) this.#parts.emit('node:emptied', { node: node.id, dropped })
    return isWritten
  }

  /** What it kept for others is gone with it. Where nobody else is left who kept the same, any of those may have missed anything. */
  async #leaveDoubts(ward: Ward, looks: Looks): Promise<void> {
    const { clock } = this.#parts
    const weak = new Set(this.#wards.filter((each) => each === ward || !looks.has(each) || each.emptiedMs > 0))
    for (const away of this.#wards) {
      if (away === ward || looks.has(away)) continue
      if (weak.size - 1 >= this.#othersOfKey) await leaveAnything(ward.node, away.node.id, clock.now() * 1_000, CALL)
    }
  }
}
