/**
 * The steps of a change of the ring, made by the one process that has the lock: each decides a record, waits until everybody goes by it, or carries
 * entries.
 *
 * Nothing of a change lives here alone: what was decided stands on the nodes, so that after this process has died another can go on from the
 * record that it finds, at whichever step.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { isAvoided } from '../cluster/owner-order.ts'
import { asError, TopologyError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import { EntryCopies } from './entry-copies.ts'
import { sweepLeftovers } from './leftovers.ts'
import { RingDecisions, type Rings, ringRead } from './ring-decisions.ts'
import type { ChangeProgress, CopyCounts, KeyPlacing, Member, RingChangeReport, TopologyNodes, TopologyRecord } from './topology.ts'
import type { TopologyLock } from './topology-lock.ts'
import { type Beginning, movingRecord, settledRecord, switchedRecord } from './topology-record.ts'
import { AHEAD_MS, SETTLED_AFTER_MS, type TopologyWatch } from './topology-watch.ts'
import { WalkedNodes } from './walked-nodes.ts'

/** Between two renewals of the lock, ms. */
const RENEW_EVERY_MS = 3_000
/** Between two tellings of how far it is, ms. */
const TELL_EVERY_MS = 200

type Step = ChangeProgress['step']

export interface OperationParts {
  readonly nodes: TopologyNodes
  readonly watch: TopologyWatch
  readonly lock: TopologyLock
  /** The fleet's. */
  readonly clock: Clock
  readonly random: Random
  readonly rate: number
  readonly signal: AbortSignal | undefined
  /** Ends it at whichever step. */
  readonly ending: AbortSignal
  readonly told: (progress: ChangeProgress) => void
}

export class RingOperation {
  readonly #parts: OperationParts
  readonly #walked: WalkedNodes
  readonly #decisions: RingDecisions
  /** Ends what is under way: given up by the caller, or without the lock. */
  readonly #stopping = new AbortController()
  readonly #giveUp: () => void
  readonly #endNow: () => void
  readonly #tookMs: Partial<Record<Step, number>> = {}
  readonly #copies: EntryCopies[] = []
  /** Nodes that were dead before it began: nothing is expected of them. */
  #dead: readonly CacheNode[]
  #step: Step = 'cleaning'
  #stepMs: number
  #looked = 0
  #removed = 0
  #changeId: string | undefined
  #toldMs = Number.NEGATIVE_INFINITY
  #renewing: Timer | undefined
  #ended = false
  #isSettled = false

  constructor(parts: OperationParts) {
    this.#parts = parts
    const { clock, rate, signal, ending } = parts
    this.#stepMs = clock.monotonic()
    this.#dead = parts.nodes.all.filter(isAvoided)
    this.#walked = new WalkedNodes({ clock, rate, signal: this.#stopping.signal, looked: (entries) => this.#look(entries) })
    this.#decisions = new RingDecisions({ ...parts, pause: (ms) => this.#walked.pause(ms) })
    this.#giveUp = () =>
      this.#stopping.abort(new TopologyError('the change of the ring was given up by its caller', 'aborted', { cause: signal?.reason }))
    if (signal?.aborted === true) this.#giveUp()
    else signal?.addEventListener('abort', this.#giveUp)
    this.#endNow = () => this.#stopping.abort(ending.reason)
    if (ending.aborted) this.#endNow()
    else ending.addEventListener('abort', this.#endNow)
    this.#renewAgain()
  }

  /** Leaves no timer; the lock is the caller's to give back. */
  end(): void {
    this.#ended = true
    this.#renewing?.cancel()
    this.#parts.signal?.removeEventListener('abort', this.#giveUp)
    this.#parts.ending.removeEventListener('abort', this.#endNow)
    this.#enter(this.#step)
  }

  /** Goes on in its stead, with what was done so far, whatever ended this one; it cannot be given up. */
  successor(told: OperationParts['told'], ending: AbortSignal): RingOperation {
    const next = new RingOperation({ ...this.#parts, signal: undefined, ending, told })
    next.#copies.push(...this.#copies)
    next.#removed = this.#removed
    return next
  }

  /** The record that it goes on from. */
  get last(): TopologyRecord {
    return this.#decisions.last
  }

  /** Of the change that it makes or ends. */
  get changeId(): string | undefined {
    return this.#changeId ?? this.last.change?.id
  }

  /** Whether it may have decided more than it knows. */
  get isUnclear(): boolean {
    return this.#decisions.isUnclear
  }

  /** Whether anything of a change that it began was decided, or may have been. */
  get isBegun(): boolean {
    return this.isUnclear || (this.#changeId !== undefined && this.last.change?.id === this.#changeId)
  }

  get report(): RingChangeReport {
    return { epoch: this.#parts.watch.latest.epoch, removed: this.#removed, ...this.#copied, tookMs: { ...this.#tookMs } }
  }

  /** To be called first: goes on from what was decided last. @throws TopologyError `unreachable` where that cannot be known */
  clear(): Promise<void> {
    return this.#decisions.clear()
  }

  /**
   * Removes from all nodes of the next ring what is not theirs yet.
   * @throws ConfigurationError see `TopologyNodes.needCaches` @throws TopologyError where one that joins cannot be emptied
   */
  async prepare(next: readonly Member[]): Promise<void> {
    const { members } = this.last
    this.#parts.nodes.needCaches()
    const unswept = await this.#sweep(next, members)
    // One that has just fallen silent is known to be dead by the time that others were looked through.
    this.#dead = this.#parts.nodes.all.filter(isAvoided)
    const full = unswept.find(({ id }) => !members.some((member) => member.id === id))
    if (full !== undefined)
      throw new TopologyError(`node ${full.id} is to join: needs to be empty, but could not be emptied`, 'unreachable')
  }

  begin(beginning: Beginning): Promise<void> {
    this.#changeId = beginning.id
    const both = movingRecord(this.last, beginning, 0)
    return this.#decide('moving', both, (from, beginsMs) => movingRecord(from, beginning, beginsMs))
  }

  /** @throws TopologyError where entries may be left behind */
  async copy(): Promise<void> {
    this.#enter('copying')
    const { copies, nodes } = this.#carrying()
    await copies.copyFrom(nodes)
  }

  switch(): Promise<void> {
    return this.#decide('switching', this.last, switchedRecord)
  }

  /** What the owners that were hold and the new ones missed. @throws TopologyError where entries may be left behind */
  async check(): Promise<void> {
    this.#enter('checking')
    const { members, change } = this.last
    const { copies, nodes } = this.#carrying(change!.members, members)
    await copies.handOnFrom(nodes)
  }

  /** The ring that is read stays, the other goes. From now on it cannot be given up. */
  async settle(): Promise<void> {
    this.#stopping.signal.throwIfAborted()
    this.#parts.signal?.removeEventListener('abort', this.#giveUp)
    await this.withdraw()
    await this.heard()
  }

  /** As `settle`, but for waiting until everybody goes by it. */
  async withdraw(): Promise<void> {
    this.#enter('settling')
    await this.#decisions.decide(ringRead(this.last), settledRecord)
    this.#isSettled = true
  }

  /** Whether there is nothing left to be decided. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Removes what is left on those who do not own it. @param members of both rings */
  async clean(members: readonly Member[]): Promise<void> {
    await this.#sweep(members, this.last.members)
  }

  /** Waits until everybody goes by the record that holds last. */
  async heard(): Promise<void> {
    const beginsMs = Math.max(this.last.beginsMs, this.#decisions.decidedMs + AHEAD_MS)
    await this.#walked.pause(beginsMs + SETTLED_AFTER_MS - this.#parts.clock.now())
  }

  get #copied(): CopyCounts {
    const sum = { copied: 0, skipped: 0, failed: 0, bytes: 0 }
    for (const { counts } of this.#copies) for (const name of ['copied', 'skipped', 'failed', 'bytes'] as const) sum[name] += counts[name]
    return sum
  }

  async #sweep(members: readonly Member[], owning: readonly Member[]): Promise<readonly CacheNode[]> {
    this.#enter('cleaning')
    const { removed, unswept } = await sweepLeftovers(this.#walked, this.#nodesOf(members), this.#parts.nodes.placing(owning))
    this.#removed += removed
    return unswept
  }

  /** Default: from the ring that is read to the other. */
  #carrying(from?: readonly Member[], to?: readonly Member[]): { readonly copies: EntryCopies; readonly nodes: readonly CacheNode[] } {
    const { nodes, clock } = this.#parts
    const { members, change } = this.last
    const place = (some: readonly Member[]): KeyPlacing => nodes.placing(some)
    nodes.needCaches()
    const placings = { from: place(from ?? members), to: place(to ?? change!.members) }
    const copies = new EntryCopies({ ...placings, walked: this.#walked, clock, dead: this.#dead })
    this.#copies.push(copies)
    return { copies, nodes: this.#nodesOf(from ?? members) }
  }

  #nodesOf(members: readonly Member[]): readonly CacheNode[] {
    return this.#parts.nodes.all.filter(({ id }) => members.some((member) => member.id === id))
  }

  /** Has the record decided that follows from the last, and waits until everybody goes by it. */
  async #decide(step: Step, of: Rings, follows: (from: TopologyRecord, beginsMs: number) => TopologyRecord): Promise<void> {
    this.#enter(step)
    await this.#decisions.decide(of, follows)
    await this.heard()
  }

  #renewAgain(): void {
    const { clock, lock } = this.#parts
    if (this.#ended) return
    this.#renewing = clock.after(RENEW_EVERY_MS, () => {
      lock.take(ringRead(this.last)).then(
        () => this.#renewAgain(),
        (thrown) => {
          // Too few nodes answered just now: before anything is decided it is taken once more.
          if (thrown instanceof TopologyError && thrown.reason === 'unreachable') this.#renewAgain()
          else this.#stopping.abort(asError(thrown))
        },
      )
    })
  }

  #enter(step: Step): void {
    const nowMs = this.#parts.clock.monotonic()
    this.#tookMs[this.#step] = Math.round((this.#tookMs[this.#step] ?? 0) + nowMs - this.#stepMs)
    this.#step = step
    this.#stepMs = nowMs
    this.#looked = 0
    this.#tell()
  }

  #look(entries: number): void {
    this.#looked += entries
    if (this.#parts.clock.monotonic() - this.#toldMs >= TELL_EVERY_MS) this.#tell()
  }

  #tell(): void {
    this.#toldMs = this.#parts.clock.monotonic()
    this.#parts.told({ step: this.#step, looked: this.#looked, copied: this.#copied.copied })
  }
}
