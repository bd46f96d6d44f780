/**
 * A cluster over nodes whose answers, faults and order of answering the test decides.
 *
 * A rigged node judges changes by the rules of every node, over entries that the test can lay out and look at; what the test scripts
 * (`status`, `leased`, `reads`) goes before that. With `network` given, nothing is answered until the
 * test delivers or loses the message.
 */

import type { ClusterParts } from '../cluster/ring-cluster.ts'
import { RingCluster } from '../cluster/ring-cluster.ts'
import { encodeEnvelope } from '../codec/envelope.ts'
import type { EntryKind } from '../entry.ts'
import { NodeError, overdueError, type RingtailError } from '../errors.ts'
import type { EventName, TierEvents } from '../events.ts'
import { applyChange, type JudgedEntries } from '../node/judge-change.ts'
import type { CacheNode, Change, LeaseAsk, Leased, NodeCall, Receiver, Standing, Status, StatusReceiver } from '../node/node.ts'
import type { Ring } from '../ring/ring.ts'
import { FakeClock } from './fake-clock.ts'

/** A message under way to a node. */
export interface Message {
  readonly node: RiggedNode
  deliver(): void
  /** No answer comes. @param applied whether the node got it all the same */
  lose(applied: boolean): void
}

export class RiggedNode {
  readonly id: string
  readonly zone: string | undefined
  readonly asked: string[] = []
  readonly timeouts: (number | undefined)[] = []
  readonly applied: Change[] = []
  readonly asks: LeaseAsk[] = []
  readonly entries = new Map<string, { bytes: Uint8Array; untilMs: number }>()
  /** Reads not answered at once wait here. */
  readonly waiting: { key: string; receiver: Receiver }[] = []
  /** How to tell each batch not answered yet that it is late. */
  readonly late: (() => void)[] = []
  /** `owe`: is not asked, for an earlier answer is overdue. */
  reads: 'answer' | 'fail' | 'hold' | 'owe' = 'answer'
  /** What each change is answered; undefined: as the entries say. */
  status: Status | undefined
  held: PromiseWithResolvers<void> | undefined
  leased: (ask: LeaseAsk) => Leased = () => ({ state: 'failed', error: this.refusal })
  network: Message[] | undefined
  /** What its guard thinks of it; nobody guards it unless the test says so. */
  standing: Standing | undefined
  load = 0
  readonly #clock: FakeClock
  readonly #judged: JudgedEntries = {
    peek: (key) => this.lookUp(key),
    ttlMs: (key) => {
      const untilMs = this.lookUp(key) === undefined ? undefined : this.entries.get(key)!.untilMs
      return untilMs === Number.POSITIVE_INFINITY ? 0 : untilMs && untilMs - this.#clock.now()
    },
    store: (key, bytes, ttlMs) => {
      this.lay(key, bytes, ttlMs)
      return true
    },
    rewrite: (key, bytes) => {
      this.entries.get(key)!.bytes = bytes
      return true
    },
    prolong: (key, ttlMs) => {
      this.entries.get(key)!.untilMs = this.#clock.now() + ttlMs
    },
    remove: (key) => this.entries.delete(key),
  }

  constructor(id: string, clock: FakeClock, zone?: string) {
    this.id = id
    this.zone = zone
    this.#clock = clock
  }

  get node(): CacheNode {
    return this as unknown as CacheNode
  }

  get refusal(): RingtailError {
    return new NodeError('refused', this.id)
  }

  get(key: string, receiver: Receiver, call?: NodeCall): void {
    this.#note([key], call)
    if (this.reads === 'hold') this.waiting.push({ key, receiver })
    else if (this.reads === 'fail') receiver.failed(this.refusal, this.node)
    else if (this.reads === 'owe') receiver.failed(overdueError(this.id), this.node)
    else
      this.#carry(
        () => receiver.answered(this.lookUp(key), this.node),
        () => receiver.failed(this.refusal, this.node),
      )
  }

  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]> {
    this.#note(keys, call)
    if (this.reads === 'fail') return Promise.reject(this.refusal)
    if (this.reads === 'owe') return Promise.reject(overdueError(this.id))
    if (call?.late !== undefined) this.late.push(call.late)
    return new Promise((resolve, reject) =>
      this.#carry(
        () => resolve(keys.map((key) => this.lookUp(key))),
        () => reject(this.refusal),
      ),
    )
  }

  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void {
    this.timeouts.push(call?.timeoutMs)
    this.applied.push(change)
    const answer = (status: Status): void => receiver.settled(status, this.node)
    this.#carry(
      () => answer(this.#judge(change)),
      (applied) => {
        if (applied) this.#judge(change)
        answer({ state: 'unknown', error: this.refusal })
      },
    )
  }

  async apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]> {
    this.timeouts.push(call?.timeoutMs)
    this.applied.push(...changes)
    await this.held?.promise
    return changes.map((change) => this.#judge(change))
  }

  async lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]> {
    this.timeouts.push(call?.timeoutMs)
    this.asks.push(...asks)
    return asks.map((ask) => this.leased(ask))
  }

  /** What lies under the key now, as nobody's read. */
  lookUp(key: string): Uint8Array | undefined {
    const held = this.entries.get(key)
    if (held !== undefined && held.untilMs <= this.#clock.now()) this.entries.delete(key)
    return this.entries.get(key)?.bytes
  }

  /** @param ttlMs 0: for ever */
  lay(key: string, bytes: Uint8Array, ttlMs = 0): void {
    this.entries.set(key, { bytes, untilMs: ttlMs === 0 ? Number.POSITIVE_INFINITY : this.#clock.now() + ttlMs })
  }

  #note(keys: readonly string[], call: NodeCall | undefined): void {
    this.asked.push(...keys)
    this.timeouts.push(call?.timeoutMs)
  }

  #carry(deliver: () => void, lose: (applied: boolean) => void): void {
    if (this.network === undefined) deliver()
    else this.network.push({ node: this, deliver, lose })
  }

  #judge(change: Change): Status {
    if (this.status !== undefined) return this.status
    return applyChange(this.#judged, change, this.#clock.now(), this.id)
  }
}

export type RigOptions = Partial<ClusterParts> & { readonly replicas?: number; readonly zones?: readonly string[] }

/** A cluster in which key `k<n>` has owners n, n+1, n+2 (of five nodes). Probes are off unless asked for. */
export function rigCluster({ replicas = 3, zones = [], ...parts }: RigOptions = {}) {
  const clock = new FakeClock()
  const nodes = ['n0', 'n1', 'n2', 'n3', 'n4'].map((id, nth) => new RiggedNode(id, clock, zones[nth]))
  const members = nodes.map((each) => each.node)
  const ring: Ring<CacheNode> = {
    members,
    replicas,
    ownersOf: (key) => Array.from({ length: replicas }, (_, nth) => members[(Number(key.slice(1)) + nth) % 5]!),
  }
  const events: { name: EventName; payload: TierEvents[EventName] }[] = []
  const failures: string[] = []
  const cluster = new RingCluster(ring, {
    clock,
    emit: (name, payload) => events.push({ name, payload }),
    nodeFailed: (node) => failures.push(node),
    probeEvery: 0,
    ...parts,
  })
  return { nodes, clock, cluster, events, failures }
}

export interface RiggedEntry {
  readonly kind?: EntryKind
  /** Of the version, ms since the epoch. */
  readonly ms: number
  readonly begun?: number
  /** Fresh for so long after the version's time. Default an hour. */
  readonly ttlMs?: number
  readonly graceMs?: number
  /** Told apart by it: two entries of one version. */
  readonly counter?: number
}

/** An envelope, sealed, with no more in it than its header says. */
export function riggedEntry({ kind = 'value', ms, begun = ms, ttlMs = 3_600_000, graceMs = 0, counter = 0 }: RiggedEntry): Buffer {
  const header = { kind, codec: 0, version: (BigInt(ms) << 19n) | BigInt(counter), freshUntilMs: ms + ttlMs, graceMs, loadCostMs: 0, begun }
  return encodeEnvelope(header, Buffer.alloc(0), Buffer.from(`${kind} ${ms}`))
}
