/**
 * The changes of one cache, told to those who subscribed.
 *
 * It hears what near caches hear, by the same means (`invalidation.ts`), and only while somebody listens; so the promise is theirs: from when
 * a subscription is active, each acknowledged change that it is about is told, or `changes:missed` is. It tells names and no values, and may
 * tell one change several times: each owner of a key tells of it, and retries and repairs are changes to a node.
 *
 * A subscription is active once all nodes of the cache are heard, or after a second without some of them, which it is then told; and once
 * more when they are heard, for what changed there meanwhile went unheard.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Cluster, WriteLevel } from '../cluster/cluster.ts'
import type { KeyCodec } from '../codec/key.ts'
import { ClosedError, ConfigurationError, OverloadError } from '../errors.ts'
import type { ChangeEventName, Emit, Listener, TierEvents } from '../events.ts'
import { type Deliveries, ListenerQueue, MAX_WAITING } from '../listener-queue.ts'
import { checkedInterest, type Interest, type SubscribeOptions } from './change-interest.ts'
import { GroupDeletes } from './group-deletes.ts'
import { type Group, GroupRecords } from './group-records.ts'
import type { Follower, Invalidations } from './invalidation.ts'
import { acknowledging } from './owners-records.ts'

/** What a subscription's listener is told. */
export type CacheChange = { [K in ChangeEventName]: TierEvents[K] & { readonly event: K } }[ChangeEventName]

export interface ChangeFeedParts {
  readonly cache: string
  readonly keys: KeyCodec
  readonly separator: string | undefined
  readonly cluster: Pick<Cluster, 'nodes' | 'ownersOf' | 'replicas'>
  /** Of the cache's writes: who is acknowledged by several owners is heard from any of them. */
  readonly writes: WriteLevel
  readonly invalidations: Invalidations
  readonly deliveries: Deliveries
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly emit: Emit
}

/** How long a subscription waits for nodes that are not heard yet, ms. */
const WAIT_MS = 1_000
/** Subscriptions and listeners of one cache, at most. */
const MAX_SUBSCRIBERS = 10_000

interface Subscriber {
  readonly interest: Interest
  readonly queue: ListenerQueue<CacheChange>
  /** Undefined once it is active. */
  starting: { readonly done: () => void; readonly refused: (error: ClosedError) => void; readonly timer: Timer } | undefined
  /** Whether some node that may tell of something was not heard when it became active. */
  isPartial: boolean
}

export class ChangeFeed {
  readonly #parts: ChangeFeedParts
  readonly #what: string
  readonly #records: GroupRecords
  readonly #groupDeletes: GroupDeletes
  readonly #subscribers = new Set<Subscriber>()
  /** Those of single keys, by name on the nodes. */
  readonly #byWire = new Map<string, Set<Subscriber>>()
  readonly #ofAllEntries = new Set<Subscriber>()
  readonly #ofSomeGroups = new Set<Subscriber>()
  #unfollowEntries: (() => void) | undefined
  #unfollowGroups: (() => void) | undefined
  #closed = false

  constructor(parts: ChangeFeedParts) {
    this.#parts = parts
    this.#what = `cache '${parts.cache}'`
    this.#records = new GroupRecords(parts.cache)
    const { cluster, writes, clock } = parts
    this.#groupDeletes = new GroupDeletes({
      cluster,
      writes,
      records: this.#records,
      nowMs: () => clock.now(),
      deleted: (group) => this.#tellDeleted(group),
      missed: (reason) => this.#tellMissed(reason),
    })
  }

  /** See `Cache.subscribe`. */
  async subscribe(options: SubscribeOptions, listener: (change: CacheChange) => void): Promise<() => void> {
    const { cache, keys, separator, clock } = this.#parts
    const what = `${this.#what}: subscribe`
    if (this.#closed) throw new ClosedError(`${this.#what} is closed`)
    const interest = checkedInterest(options, { what, keys, records: this.#records, separator })
    if (typeof listener !== 'function') throw ConfigurationError.of(`${what}: listener`, 'a function', listener)
    const toldMissed = (reason: string, dropped: number): CacheChange => ({ event: 'changes:missed', cache, reason, dropped })
    const subscriber: Subscriber = { interest, queue: this.#queueOf(listener, toldMissed), starting: undefined, isPartial: false }
    await new Promise<void>((done, refused) => {
      const timer = clock.after(WAIT_MS, () => this.#startWithout(subscriber))
      subscriber.starting = { done, refused, timer }
      this.#add(subscriber)
      this.#startCovered(subscriber)
    })
    return () => this.#remove(subscriber)
  }

  /** Active at once: what is not heard yet is told as missed when it is. @returns the way to stop */
  on<K extends ChangeEventName>(name: K, listener: Listener<K>): () => void {
    const { emit, cache } = this.#parts
    const only = ({ event, ...payload }: CacheChange): unknown => listener(payload as unknown as TierEvents[K])
    const queue = this.#queueOf(only, (reason, dropped) => {
      // Told in the place where it can be said: this listener takes another kind of event.
      this.#tellMissed(reason, dropped, ({ entries, cleared }) => entries === undefined && !cleared)
      emit('listener:failed', { event: name, reason: `${cache}: ${reason}` })
      return undefined
    })
    const subscriber: Subscriber = { interest: interestIn(name), queue, starting: undefined, isPartial: true }
    this.#add(subscriber)
    subscriber.isPartial = !this.#covers(subscriber.interest, 0)
    return () => this.#remove(subscriber)
  }

  /** Nobody is told anything afterwards; who still waits to be active is refused. */
  close(): void {
    this.#closed = true
    for (const subscriber of [...this.#subscribers]) {
      const { starting } = subscriber
      this.#remove(subscriber)
      starting?.refused(new ClosedError(`${this.#what} is closed`))
    }
  }

  readonly #follower: Follower = {
    changed: (wires) => this.#changed(wires),
    lost: (reason, node) => {
      // Some caches have only some of the tier's nodes.
      if (node !== undefined && !this.#parts.cluster.nodes.includes(node)) return
      this.#tellMissed(reason)
      this.#moreIsHeard()
    },
    covered: () => {
      for (const subscriber of this.#subscribers) {
        if (subscriber.starting === undefined && subscriber.isPartial) this.#tellOneMissed(subscriber, 'more nodes are heard from now on')
      }
      this.#moreIsHeard()
    },
  }

  #moreIsHeard(): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.starting !== undefined) this.#startCovered(subscriber)
      else subscriber.isPartial = !this.#covers(subscriber.interest, 0)
    }
  }

  #startCovered(subscriber: Subscriber): void {
    if (this.#covers(subscriber.interest, 0)) this.#start(subscriber)
  }

  #startWithout(subscriber: Subscriber): void {
    const { writes, cluster } = this.#parts
    subscriber.isPartial = true
    if (!this.#covers(subscriber.interest, acknowledging(writes, cluster.replicas) - 1)) {
      this.#tellOneMissed(subscriber, 'not all nodes that are needed are heard yet')
    }
    this.#start(subscriber)
  }

  #start(subscriber: Subscriber): void {
    const { starting } = subscriber
    subscriber.starting = undefined
    starting?.timer.cancel()
    starting?.done()
  }

  /** @param spare see `Invalidations.covers` */
  #covers({ entries }: Interest, spare: number): boolean {
    const { invalidations, keys, cluster } = this.#parts
    const prefixes = entries === undefined ? [this.#records.prefix] : [this.#records.prefix, keys.prefix]
    return prefixes.every((prefix) => invalidations.covers(prefix, cluster.nodes, spare))
  }

  #changed(wires: readonly string[]): void {
    for (const wire of wires) {
      if (wire.startsWith(this.#records.prefix)) this.#groupChanged(wire)
      else this.#entryChanged(wire)
    }
  }

  #entryChanged(wire: string): void {
    const { cache } = this.#parts
    for (const { interest, queue } of this.#byWire.get(wire) ?? []) {
      const key = (interest.entries as ReadonlyMap<string, string>).get(wire)!
      queue.push(wire, { event: 'entry:changed', cache, key })
    }
    if (this.#ofAllEntries.size === 0) return
    const key = this.#keyOf(wire)
    for (const subscriber of this.#ofAllEntries) {
      if (key !== undefined) subscriber.queue.push(wire, { event: 'entry:changed', cache, key })
      else this.#tellOneMissed(subscriber, 'a key that is no well-formed text was changed')
    }
  }

  #groupChanged(wire: string): void {
    const group = this.#records.groupOf(wire)
    if (group === undefined) this.#tellMissed('a group whose name is no well-formed text was changed')
    else if (Array.from(this.#ofSomeGroups).some(({ interest }) => wants(interest, group))) this.#groupDeletes.changed(wire, group)
  }

  #tellDeleted(group: Group): void {
    const { cache } = this.#parts
    const kind = group.kind === 'ns' ? 'namespace' : group.kind
    const name = group.kind === 'all' ? undefined : group.name
    for (const { interest, queue } of this.#ofSomeGroups) {
      if (wants(interest, group)) queue.push(this.#records.keyOf(group), { event: 'group:deleted', cache, kind, name })
    }
  }

  /** Who is not active yet has read nothing that it could be told to forget. */
  #tellMissed(reason: string, dropped?: number, whom: (interest: Interest) => boolean = () => true): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.starting === undefined && whom(subscriber.interest)) this.#tellOneMissed(subscriber, reason, dropped)
    }
  }

  #tellOneMissed({ interest, queue }: Subscriber, reason: string, dropped?: number): void {
    if (interest.missed) queue.push('missed', { event: 'changes:missed', cache: this.#parts.cache, reason, dropped })
  }

  /** A key that is no well-formed text does not come back from its bytes. */
  #keyOf(wire: string): string | undefined {
    const { keys } = this.#parts
    const bytes = keys.decode(wire)
    if (bytes === undefined) return undefined
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    return keys.encode(key) === wire ? key : undefined
  }

  #add(subscriber: Subscriber): void {
    const { invalidations, keys } = this.#parts
    if (this.#subscribers.size >= MAX_SUBSCRIBERS) {
      subscriber.starting?.timer.cancel()
      throw new OverloadError(`${this.#what}: needs at most ${MAX_SUBSCRIBERS} subscriptions, but got: one more`)
    }
    this.#subscribers.add(subscriber)
    const { entries, tags, namespaces, cleared } = subscriber.interest
    if (entries === 'all') this.#ofAllEntries.add(subscriber)
    else for (const wire of entries?.keys() ?? []) addTo(this.#byWire, wire, subscriber)
    if (cleared || tags !== undefined || namespaces !== undefined) this.#ofSomeGroups.add(subscriber)
    this.#unfollowGroups ??= invalidations.follow(this.#records.prefix, this.#follower)
    if (entries !== undefined) this.#unfollowEntries ??= invalidations.follow(keys.prefix, this.#follower)
  }

  #queueOf(
    listener: (change: CacheChange) => unknown,
    overflowed: (reason: string, dropped: number) => CacheChange | undefined,
  ): ListenerQueue<CacheChange> {
    const { emit, deliveries } = this.#parts
    return new ListenerQueue<CacheChange>({
      deliveries,
      listener,
      failed: ({ event }, thrown) => emit('listener:failed', { event, reason: String(thrown) }),
      overflowed: (dropped) => overflowed(`a listener is slower than changes come: more than ${MAX_WAITING} waited`, dropped),
    })
  }

  #remove(subscriber: Subscriber): void {
    subscriber.queue.stop()
    if (!this.#subscribers.delete(subscriber)) return
    subscriber.starting?.timer.cancel()
    const { entries } = subscriber.interest
    this.#ofAllEntries.delete(subscriber)
    this.#ofSomeGroups.delete(subscriber)
    if (entries !== 'all') for (const wire of entries?.keys() ?? []) removeFrom(this.#byWire, wire, subscriber)
    if (this.#byWire.size === 0 && this.#ofAllEntries.size === 0) {
      this.#unfollowEntries?.()
      this.#unfollowEntries = undefined
    }
    if (this.#subscribers.size > 0) return
    this.#unfollowGroups?.()
    this.#unfollowGroups = undefined
  }
}

/** What a listener of one kind of event wants. */
function interestIn(name: ChangeEventName): Interest {
  const groups = name === 'group:deleted' ? 'all' : undefined
  const entries = name === 'entry:changed' ? 'all' : undefined
  return { entries, tags: groups, namespaces: groups, cleared: groups !== undefined, missed: name === 'changes:missed' }
}

function wants({ tags, namespaces, cleared }: Interest, group: Group): boolean {
  if (group.kind === 'all') return cleared
  const wanted = group.kind === 'tag' ? tags : namespaces
  return wanted === 'all' || wanted?.has(group.name) === true
}

function addTo(index: Map<string, Set<Subscriber>>, wire: string, subscriber: Subscriber): void {
  const subscribers = index.get(wire)
  if (subscribers === undefined) index.set(wire, new Set([subscriber]))
  else subscribers.add(subscriber)
}

function removeFrom(index: Map<string, Set<Subscriber>>, wire: string, subscriber: Subscriber): void {
  const subscribers = index.get(wire)
  subscribers?.delete(subscriber)
  if (subscribers?.size === 0) index.delete(wire)
}
