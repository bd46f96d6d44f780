/**
 * A cluster on a ring: each key on its N owners, read from the first that answers or from several, written to all.
 *
 * Reads of one owner walk the owners in order: a node that fails a try, or does not answer it in time, costs the caller that try and is
 * followed by the next; one that looks dead is asked last, and a slow one less. Reads of a quorum take the newest of what more than half of the owners hold. Writes go to every owner at once and are
 * acknowledged when as many as the level asks for have answered; each owner judges a change by itself, by version, so that they agree
 * whatever order changes reach them in. Where reads find that owners differ, the older ones are mended behind the reader.
 */
import { type Clock, type Random, systemRandom } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, Change, NodeCall } from '../node/node.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import { HEDGES } from '../resilience/hedge.ts'
import { type HotKey, HotKeys } from '../resilience/hot-keys.ts'
import { RETRIES, RetryBudget } from '../resilience/retry-budget.ts'
import type { Ring } from '../ring/ring.ts'
import { alsoWrite, alsoWriteOne } from './also-writes.ts'
import { settleDoubts } from './batch-doubts.ts'
import { pollBatch } from './batch-poll.ts'
import { walkBatch } from './batch-walk.ts'
import type {
  Cluster,
  ClusterCall,
  Fetched,
  Fill,
  Lease,
  LeaseAnswer,
  LeaseRequest,
  PutChange,
  ReadLevel,
  Replicated,
  WriteLevel,
} from './cluster.ts'
import { type Decision, decideFirst } from './decide-first.ts'
import type { Hints } from './hints.ts'
import { askLeases, giveBack } from './leasing.ts'
import { LiveRing } from './live-ring.ts'
import { areAllBehind, nextToAsk } from './owner-order.ts'
import { OwnerPoll } from './owner-poll.ts'
import { OwnerWalk } from './owner-walk.ts'
import { Probe } from './probe.ts'
import { ReadRepair, type RepairCounts } from './read-repair.ts'
import { addToParts, type MissedListener, type NodeParts, Replication } from './replication.ts'
import { RingKnowledge } from './ring-knowledge.ts'
import { SingleReplication } from './single-replication.ts'
import type { WalkContext } from './walk-context.ts'

/** What the nodes may take to answer, in all, ms. */
const DEADLINE_MS = 250
/** What one node may take before the next owner is asked, ms. */
const TRY_TIMEOUT_MS = 50
/** Behind one read of one owner in so many, another owner is asked. */
const PROBE_EVERY = 16

export interface ClusterParts {
  readonly clock: Clock
  readonly emit: Emit
  /** Draws lease tokens. Default: the system's. */
  readonly random?: Random | undefined
  readonly deadlineMs?: number | undefined
  readonly tryTimeoutMs?: number | undefined
  /** Of reads that name no level of their own. Default 'primary'. */
  readonly read?: ReadLevel | undefined
  /** The zone of this process: what `nearest` means. */
  readonly zone?: string | undefined
  /** Behind one read of one owner in so many another owner is asked. 0: never. Default 16. */
  readonly probeEvery?: number | undefined
  /** Where what owners missed is remembered. Default: nowhere. */
  readonly hints?: Hints | undefined
  /** Whether a change that no owner took stands all the same, because a store has it, and is to be made when they answer. Default false. */
  readonly stands?: boolean | undefined
  /** Told of each read that a node failed and of each write that it missed. */
  readonly nodeFailed?: ((node: string) => void) | undefined
  /** Whether it is long that this process heard which nodes have missed changes. Default: never. */
  readonly isUninformed?: (() => boolean) | undefined
}

export class RingCluster implements Cluster, QueueTeller {
  readonly #ring: LiveRing
  /** Until when it is surely the fleet's. */
  readonly #knowledge: RingKnowledge
  readonly #context: WalkContext
  readonly #emit: Emit
  readonly #random: Random
  readonly #deadlineMs: number
  /** A node call bounded by the default deadline: what most writes need. */
  readonly #wholeCall: { readonly timeoutMs: number }
  readonly #read: ReadLevel
  readonly #zone: string | undefined
  readonly #repair: ReadRepair
  readonly #probe: Probe | undefined
  readonly #hints: Hints | undefined
  /** Of writes, and of fills, which nobody has to have. */
  readonly #hearMissed: MissedListener
  readonly #hearUnfilled: MissedListener
  readonly #hotKeys = new HotKeys()

  /** @param ring a `LiveRing` may change under way */
  constructor(ring: Ring<CacheNode>, parts: ClusterParts) {
    this.#ring = ring instanceof LiveRing ? ring : new LiveRing(ring)
    this.#knowledge = this.#ring.knowledge ?? new RingKnowledge()
    this.#emit = parts.emit
    this.#random = parts.random ?? systemRandom
    this.#deadlineMs = parts.deadlineMs ?? DEADLINE_MS
    this.#wholeCall = { timeoutMs: this.#deadlineMs }
    this.#read = parts.read ?? 'primary'
    this.#zone = parts.zone
    const firstCall = { timeoutMs: parts.tryTimeoutMs ?? TRY_TIMEOUT_MS }
    this.#repair = new ReadRepair({ clock: parts.clock, emit: parts.emit, call: this.#wholeCall })
    this.#context = {
      clock: parts.clock,
      firstCall,
      wholeCall: this.#wholeCall,
      nodeFailed: parts.nodeFailed ?? (() => {}),
      isUninformed: parts.isUninformed ?? (() => false),
      repair: this.#repair,
      retries: new RetryBudget(RETRIES),
      hedges: new RetryBudget(HEDGES),
    }
    this.#hints = parts.hints
    const missed: MissedListener['missed'] = (node, changes, reason) => this.#tellMissed(node, changes, reason)
    const lacks: MissedListener['lacks'] = (node, { op, key }, isTaken) => {
      if (op !== 'touch' && op !== 'release') this.#hints?.leave(key, node, this.#ring, isTaken)
    }
    this.#hearMissed = {
      asked: (owners) => this.#hints?.asked(owners),
      heard: () => this.#hints?.heard(),
      missed,
      lacks,
      unheard: (change, lacking, isUnknown) => {
        if (parts.stands === true && change.op === 'put') this.#hints?.remember(change, this.#ring)
        else if (isUnknown) for (const node of lacking) lacks(node, change, false)
      },
    }
    const nothing = (): void => {}
    this.#hearUnfilled = { asked: nothing, heard: nothing, missed, lacks: nothing, unheard: nothing }
    const probeEvery = parts.probeEvery ?? PROBE_EVERY
    const probes = probeEvery > 0 && ring.replicas > 1
    this.#probe = probes ? new Probe(probeEvery, this.#repair, firstCall, this.#context.nodeFailed) : undefined
  }

  tellQueues(tell: TellQueue): void {
    this.#repair.tellQueues(tell)
    this.#probe?.tellQueues(tell)
  }

  get nodes(): readonly CacheNode[] {
    return this.#ring.members
  }

  get replicas(): number {
    return this.#ring.replicas
  }

  /** What became of the copies that reads had put on owners that held older ones. */
  get repairs(): RepairCounts {
    return this.#repair.counts
  }

  /** The keys that a good part of the reads in this process are of, the most read first. */
  get hotKeys(): readonly HotKey[] {
    return this.#hotKeys.list()
  }

  ownersOf(key: string): readonly CacheNode[] {
    return this.#ring.ownersOf(key)
  }

  otherOwnersOf(key: string): readonly CacheNode[] | undefined {
    return this.#ring.otherOwnersOf(key)
  }

  fetch(key: string, settle: (fetched: Fetched) => void, call?: ClusterCall): void {
    const owners = this.#ring.ownersOf(key)
    const level = call?.read ?? this.#read
    const deadlineMs = call?.deadlineMs ?? this.#deadlineMs
    if ((level === 'quorum' || level === 'all') && owners.length > 1) {
      new OwnerPoll(key, owners, level, deadlineMs, this.#context, this.#repair, settle).start()
      return
    }
    const { retries, hedges } = this.#context
    retries.requested(1)
    hedges.requested(1)
    const anyOwner = level === 'nearest'
    const first = anyOwner ? this.#nearest(owners, key) : 0
    const answered = this.#probe?.isDue() === true ? this.#probedAfter(this.#probe, key, owners, settle) : settle
    const { standing } = owners[first]!
    if (standing === undefined || !standing.steered) {
      new OwnerWalk(key, owners, first, anyOwner, deadlineMs, this.#context, answered).start()
      return
    }
    if (areAllBehind(owners)) {
      new OwnerPoll(key, owners, 'all', deadlineMs, this.#context, this.#repair, answered).start()
      return
    }
    if (standing.avoided && !anyOwner && this.#context.isUninformed()) {
      new OwnerPoll(key, owners, 'quorum', deadlineMs, this.#context, this.#repair, answered).start()
      return
    }
    const walk = new OwnerWalk(key, owners, nextToAsk(owners, 0, first), anyOwner, deadlineMs, this.#context, answered)
    if (standing.avoided || standing.takesRead()) walk.start()
    else walk.startAside()
  }

  async fetchMany(keys: readonly string[], call?: ClusterCall): Promise<Fetched[]> {
    const { replicas } = this.#ring
    const level = call?.read ?? this.#read
    const batch = {
      keys,
      owners: keys.map((key) => this.#ring.ownersOf(key)),
      deadlineMs: call?.deadlineMs ?? this.#deadlineMs,
      context: this.#context,
    }
    if ((level === 'quorum' || level === 'all') && replicas > 1) return pollBatch({ ...batch, level, repair: this.#repair })
    this.#context.retries.requested(keys.length)
    this.#context.hedges.requested(keys.length)
    const beganMs = this.#context.clock.now()
    const untilMs = this.#context.clock.monotonic() + batch.deadlineMs
    const anyOwner = level === 'nearest'
    const results = await walkBatch({ ...batch, replicas, anyOwner, firstOf: anyOwner ? this.#nearest : firstInRing })
    await settleDoubts({ ...batch, repair: this.#repair }, results, anyOwner, untilMs)
    this.#probeSome(keys, batch.owners, results, beganMs)
    return results
  }

  put(change: Change, level: WriteLevel, settle: (replicated: Replicated) => void, call?: ClusterCall, nowMs?: number): void {
    if ((nowMs ?? this.#context.clock.now()) <= this.#knowledge.untilMs) this.#put(change, level, settle, call)
    else void this.#onceKnown([change], () => this.#put(change, level, settle, call))
  }

  replicate(changes: readonly Change[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]> {
    if (changes.length === 0) return Promise.resolve([])
    return this.#isKnown ? this.#replicate(changes, level, call) : this.#onceKnown(changes, () => this.#replicate(changes, level, call))
  }

  async compareAndSet(change: PutChange, level: WriteLevel, call?: ClusterCall): Promise<Replicated> {
    const { clock } = this.#context
    const sinceMs = clock.monotonic()
    const isKnown = this.#isKnown || (await this.#knowledge.renew())
    const undecidedMs = this.#ring.undecidedMs(change.key, clock.monotonic())
    if (undecidedMs > 0) await new Promise<void>((resolve) => void clock.after(undecidedMs, resolve, { keepAlive: true }))
    const owners = this.#ring.ownersOf(change.key)
    const took = isKnown ? owners : [...owners, ...this.#ring.alsoOf(change.key)]
    // An owner that holds something newer was overtaken after the primary had taken this change: it did happen.
    const [replicated] = await this.#decide([{ change, decider: owners[0]!, owners }], level, 'applied', call)
    // One that was refused did not happen: made once more, it would, for nothing is expected then.
    if (!isKnown && this.#hints !== undefined && replicated!.state !== 'refused')
      this.#knowledge.doubt([{ ...change, expected: undefined }], this.#ring, this.#hints, sinceMs, took)
    return replicated!
  }

  lease(requests: readonly LeaseRequest[], call?: ClusterCall): Promise<LeaseAnswer[]> {
    const ask = () =>
      askLeases(requests, this.#ring, this.#random, call?.deadlineMs ?? this.#deadlineMs, this.#context, this.#hints?.strays)
    return this.#isKnown ? ask() : this.#onceKnown([], ask)
  }

  async fill(fills: readonly Fill[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]> {
    if (!this.#isKnown) await this.#onceKnown([], () => {})
    const decisions = fills.map(
      ({ change, lease }): Decision => ({
        change: { ...change, expected: undefined, lease: lease.token },
        decider: lease.node,
        owners: this.#ring.ownersOf(change.key),
      }),
    )
    return this.#decide(decisions, level, 'refused', call)
  }

  release(leases: readonly { readonly key: string; readonly lease: Lease }[]): void {
    giveBack(leases, this.#deadlineMs, this.#hints?.strays)
  }

  get #isKnown(): boolean {
    return this.#context.clock.now() <= this.#knowledge.untilMs
  }

  /** @param changes that go by the ring that is known, where the nodes do not say which it is */
  async #onceKnown<T>(changes: readonly Change[], work: () => T | Promise<T>): Promise<T> {
    const sinceMs = this.#context.clock.monotonic()
    const isKnown = await this.#knowledge.renew()
    if (!isKnown && this.#hints !== undefined) this.#knowledge.doubt(changes, this.#ring, this.#hints, sinceMs)
    return work()
  }

  #put(change: Change, level: WriteLevel, settle: (replicated: Replicated) => void, call: ClusterCall | undefined): void {
    const settled = this.#ring.isMoving ? this.#alsoPut(change, settle) : settle
    new SingleReplication(this.#ring.ownersOf(change.key), level, this.#hearMissed, settled).send(change, this.#nodeCall(call))
  }

  #replicate(changes: readonly Change[], level: WriteLevel, call: ClusterCall | undefined): Promise<Replicated[]> {
    const elsewhere = this.#alsoWrite(changes)
    const replicated = new Promise<Replicated[]>((resolve) => {
      const replication = new Replication(changes.length, this.replicas, level, this.#hearMissed, resolve)
      const parts: NodeParts = new Map()
      for (const [position, change] of changes.entries()) addToParts(parts, change, position, this.#ring.ownersOf(change.key))
      for (const [node, part] of parts) replication.send(node, part, this.#nodeCall(call))
    })
    return elsewhere === undefined ? replicated : elsewhere.then(() => replicated)
  }

  async #decide(
    decisions: readonly Decision[],
    level: WriteLevel,
    overtaken: 'applied' | 'refused',
    call: ClusterCall | undefined,
  ): Promise<Replicated[]> {
    const deadlineMs = call?.deadlineMs ?? this.#deadlineMs
    const listener = overtaken === 'applied' ? this.#hearMissed : this.#hearUnfilled
    const decided = await decideFirst(decisions, { level, deadlineMs, context: this.#context, listener, overtaken })
    const taken = decisions.filter((_, at) => decided[at]!.state === 'applied')
    await this.#alsoWrite(taken.map(({ change: { expected: _, lease: __, ...put } }) => put))
    return decided
  }

  /** Undefined where there is one ring. */
  #alsoWrite(changes: readonly Change[]): Promise<void> | undefined {
    return this.#ring.isMoving ? alsoWrite(changes, this.#ring, this.#hearMissed, this.#context.firstCall) : undefined
  }

  /** Puts it on owners by the other ring. @returns what is to hear of the owners by this one; `settle` hears once both are done */
  #alsoPut(change: Change, settle: (replicated: Replicated) => void): (replicated: Replicated) => void {
    let result: Replicated | undefined
    let isDone = false
    alsoWriteOne(change, this.#ring.alsoOf(change.key), this.#hearMissed, this.#context.firstCall, () => {
      isDone = true
      if (result !== undefined) settle(result)
    })
    return (replicated) => {
      result = replicated
      if (isDone) settle(replicated)
    }
  }

  #nodeCall(call: ClusterCall | undefined): NodeCall {
    return call?.deadlineMs === undefined ? this.#wholeCall : { timeoutMs: call.deadlineMs }
  }

  readonly #nearest = (owners: readonly CacheNode[], key: string): number => {
    if (this.#hotKeys.isHot(key)) return this.#hotKeys.spread(owners)
    if (this.#zone === undefined) return 0
    for (let at = 0; at < owners.length; at++) if (owners[at]!.zone === this.#zone) return at
    return 0
  }

  #probedAfter(probe: Probe, key: string, owners: readonly CacheNode[], settle: (fetched: Fetched) => void): (fetched: Fetched) => void {
    this.#hotKeys.note(key)
    const beganMs = this.#context.clock.now()
    return (fetched) => {
      settle(fetched)
      probe.ask(key, owners, fetched, beganMs)
    }
  }

  #probeSome(keys: readonly string[], owners: readonly (readonly CacheNode[])[], results: readonly Fetched[], readMs: number): void {
    if (this.#probe === undefined) return
    for (let at = 0; at < keys.length; at++) {
      if (!this.#probe.isDue()) continue
      this.#hotKeys.note(keys[at]!)
      this.#probe.ask(keys[at]!, owners[at]!, results[at]!, readMs)
    }
  }

  #tellMissed(node: CacheNode, changes: readonly Change[], reason: string): void {
    this.#context.nodeFailed(node.id)
    this.#emit('write:missed', { node: node.id, changes: changes.length, reason })
  }
}

function firstInRing(): number {
  return 0
}
