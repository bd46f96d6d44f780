/**
 * Several processes of one fleet over the same memory nodes, for tests of what they hear of one another.
 *
 * Each process sees each node through a view of its own, which can be cut, held back and counted, and reads time from a clock of its own that
 * is off by a given skew. Nothing here waits: a held message goes out when the test says so.
 */
import { RingCluster } from '../cluster/ring-cluster.ts'
import type { Membership } from '../entry.ts'
import { NodeError } from '../errors.ts'
import { noEmit } from '../events.ts'
import { Groups, type GroupsParts } from '../invalidation/groups.ts'
import { Tracking } from '../invalidation/tracking.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode, Change, Status, Watcher } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import type { FakeClock } from './fake-clock.ts'
import { seededRandom } from './seeded-random.ts'

/** One node as one process sees it. */
export class NodeView {
  readonly id: string
  readonly weight = 1
  readonly zone = undefined
  readonly label: string
  readonly node: CacheNode
  readonly asked: string[] = []
  readonly watches: (readonly string[])[] = []
  /** While set, what is told by the node waits, and so do the answers of reads. */
  heldPushes: (() => void)[] | undefined
  heldReads: (() => void)[] | undefined
  up = true
  /** False: the node answers, and is not heard of changes. */
  heard = true
  /** False: the node is heard, and does not answer reads. */
  answering = true
  readonly #watchers = new Set<Watcher>()

  constructor(node: CacheNode) {
    this.node = node
    this.id = node.id
    this.label = node.id
  }

  get control(): CacheNode['control'] {
    return this.node.control
  }

  run(...call: Parameters<CacheNode['run']>): ReturnType<CacheNode['run']> {
    return this.node.run(...call)
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    if (!this.up || !this.answering) throw this.#down()
    this.asked.push(...keys)
    const found = await this.node.getMany(keys)
    const { heldReads } = this
    if (heldReads !== undefined) await new Promise<void>((resolve) => heldReads.push(resolve))
    return found
  }

  async apply(changes: readonly Change[]): Promise<Status[]> {
    return this.up ? this.node.apply(changes) : changes.map(() => ({ state: 'failed', error: this.#down() }))
  }

  async watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    if (!this.up) throw this.#down()
    this.watches.push(prefixes)
    this.#watchers.add(watcher)
    const stop = await this.node.watch(prefixes, {
      changed: (keys) => {
        if (!this.up || !this.heard) return
        const tell = (): void => watcher.changed(keys)
        if (this.heldPushes === undefined) tell()
        else this.heldPushes.push(tell)
      },
      lost: (reason, hearing) => watcher.lost(reason, hearing),
    })
    return () => {
      this.#watchers.delete(watcher)
      return stop()
    }
  }

  get watchers(): number {
    return this.#watchers.size
  }

  cut(): void {
    this.up = false
    this.heldPushes = undefined
    for (const watcher of this.#watchers) watcher.lost('cut', false)
  }

  deafen(): void {
    this.heard = false
    for (const watcher of this.#watchers) watcher.lost('deaf', false)
  }

  mend(): void {
    this.up = true
    this.heard = true
    this.answering = true
    for (const watcher of this.#watchers) watcher.lost('mended', true)
  }

  #down(): NodeError {
    return new NodeError(`node ${this.id} is cut off`, this.id)
  }
}

export const asNodes = (views: readonly NodeView[]): readonly CacheNode[] => views as unknown as readonly CacheNode[]

export interface ProcessOptions extends Partial<Pick<GroupsParts, 'separator' | 'writes' | 'maxKnown'>> {
  readonly replicas?: number
  readonly skewMs?: number
}

export class GroupProcess {
  readonly views: readonly NodeView[]
  readonly groups: Groups
  readonly tracking: Tracking
  readonly cluster: RingCluster

  constructor(nodes: readonly CacheNode[], clock: FakeClock, options: ProcessOptions = {}) {
    this.views = nodes.map((node) => new NodeView(node))
    const own = asNodes(this.views)
    this.cluster = new RingCluster(hashRing().build(own, options.replicas ?? 3), { clock, emit: noEmit })
    this.tracking = new Tracking({ nodes: own, clock, random: seededRandom(1), emit: noEmit })
    this.groups = new Groups({
      cache: 'c',
      cluster: this.cluster,
      invalidations: this.tracking,
      writes: options.writes ?? 'quorum',
      separator: options.separator,
      maxKnown: options.maxKnown,
      clock: { now: () => clock.now() + (options.skewMs ?? 0) },
    })
  }

  ownersOf(key: string): readonly NodeView[] {
    return this.cluster.ownersOf(key) as unknown as readonly NodeView[]
  }

  /** A load or write that begins now and ends at once. */
  async write(tags: readonly string[] = [], key = 'k'): Promise<Membership> {
    const begunMs = this.groups.nowMs()
    await this.groups.prepare(tags, key, begunMs)
    return entry(begunMs, tags)
  }

  async judge(judged: Membership, key = 'k'): Promise<boolean> {
    return this.groups.isCurrent(judged, key) ?? (await this.groups.learn([{ entry: judged, key }]))[0]!
  }

  /** How many reads of records the nodes have had from this process. */
  get asked(): number {
    return this.views.reduce((sum, view) => sum + view.asked.length, 0)
  }

  /** Answers of reads wait until they are released. */
  holdReads(): void {
    for (const view of this.views) view.heldReads = []
  }

  releaseReads(): void {
    for (const view of this.views) {
      const held = view.heldReads
      view.heldReads = undefined
      for (const answer of held ?? []) answer()
    }
  }

  holdPushes(): void {
    for (const view of this.views) view.heldPushes = []
  }

  releasePushes(): void {
    for (const view of this.views) {
      const held = view.heldPushes
      view.heldPushes = undefined
      for (const tell of held ?? []) tell()
    }
  }
}

export function entry(begunMs: number, tags: readonly string[] = []): Membership {
  return { begun: begunMs % 2 ** 32, tags }
}

/** @param count of nodes, with the given clock */
export async function memoryNodes(count: number, clock: FakeClock): Promise<CacheNode[]> {
  await hashRing().prepare()
  return Array.from({ length: count }, (_, nth) => memoryNode({ id: `n${nth}`, clock }))
}
