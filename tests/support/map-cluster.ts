/**
 * A cluster that is a Map: what strategies and keyspaces need of one, with every change and lease judged as the nodes judge them, and
 * with doors that a test opens: nodes that cannot be reached, changes held back.
 */
import type { Clock } from '../../src/clock.ts'
import type { Cluster, Fetched, Fill, Lease, LeaseAnswer, LeaseRequest, PutChange, Replicated } from '../../src/cluster/cluster.ts'
import { UnacknowledgedError, UnavailableError } from '../../src/errors.ts'
import { applyChange, type JudgedEntries } from '../../src/node/judge-change.ts'
import { grantLease } from '../../src/node/judge-lease.ts'
import type { CacheNode, Change } from '../../src/node/node.ts'

export class MapCluster implements Cluster {
  readonly entries = new Map<string, { readonly bytes: Uint8Array; readonly ttlMs: number }>()
  readonly changes: Change[] = []
  readonly replicas = 1
  readonly node = { id: 'n1' } as CacheNode
  readonly nodes = [this.node]
  reachable = true
  /** While set, changes wait for it before they are judged. */
  hold: Promise<void> | undefined
  /** While set, fills wait for it after they were judged: as long as other owners have yet to take them. */
  spread: Promise<void> | undefined
  /** Whether another owner may have taken what the first refuses. */
  takenElsewhere = false
  fetches = 0
  #tokens = 0
  readonly #clock: Clock
  /** Without expiry: what is dead is told by its header, and leases by their time. */
  readonly #judged: JudgedEntries = {
    peek: (key) => this.entries.get(key)?.bytes,
    ttlMs: (key) => this.entries.get(key)?.ttlMs,
    store: (key, bytes, ttlMs) => {
      this.entries.set(key, { bytes, ttlMs })
      return true
    },
    rewrite: (key, bytes) => {
      this.entries.set(key, { bytes, ttlMs: this.entries.get(key)!.ttlMs })
      return true
    },
    prolong: (key, ttlMs) => void this.entries.set(key, { bytes: this.entries.get(key)!.bytes, ttlMs }),
    remove: (key) => void this.entries.delete(key),
  }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  ownersOf(): readonly CacheNode[] {
    return this.nodes
  }

  fetch(key: string, settle: (fetched: Fetched) => void): void {
    this.fetches++
    const failure = this.reachable ? undefined : new UnavailableError('none of the 1 owners answered')
    const found = failure === undefined ? { bytes: this.entries.get(key)?.bytes, node: this.node } : { bytes: undefined, node: undefined }
    queueMicrotask(() => settle({ ...found, failure }))
  }

  fetchMany(keys: readonly string[]): Promise<Fetched[]> {
    return Promise.all(keys.map((key) => new Promise<Fetched>((resolve) => this.fetch(key, resolve))))
  }

  put(change: Change, _level: unknown, settle: (replicated: Replicated) => void): void {
    void this.replicate([change]).then(([only]) => settle(only!))
  }

  async replicate(changes: readonly Change[]): Promise<Replicated[]> {
    await this.hold
    return changes.map((change) => this.#apply(change))
  }

  async compareAndSet(change: PutChange): Promise<Replicated> {
    const outcome = this.#apply(change)
    return outcome.state === 'refused' ? { state: 'refused', version: outcome.version } : outcome
  }

  async lease(requests: readonly LeaseRequest[]): Promise<LeaseAnswer[]> {
    return requests.map((request): LeaseAnswer => {
      if (!this.reachable) return { state: 'failed', error: new UnavailableError('none of the 1 owners answered') }
      const token = ++this.#tokens
      const leased = grantLease(this.#judged, { ...request, token }, this.#clock.now(), 'n1')
      if (leased.state === 'granted')
        return {
          state: 'granted',
          lease: { token, node: this.node, untilMs: this.#clock.monotonic() + request.leaseMs },
          held: leased.held,
        }
      return leased.state === 'changed'
        ? { state: 'changed', fetched: { bytes: leased.bytes, node: this.node, failure: undefined } }
        : leased
    })
  }

  async fill(fills: readonly Fill[]): Promise<Replicated[]> {
    await this.hold
    const outcomes = fills.map(({ change, lease }) => this.#apply({ ...change, lease: lease.token }))
    await this.spread
    return outcomes
  }

  release(leases: readonly { readonly key: string; readonly lease: Lease }[]): void {
    for (const { key, lease } of leases) this.#apply({ op: 'release', key, lease: lease.token })
  }

  #apply(change: Change): Replicated {
    if (!this.reachable) return { state: 'unacknowledged', error: new UnacknowledgedError('0 of 1 owners took the change') }
    const status = applyChange(this.#judged, change, this.#clock.now(), 'n1')
    if (status.state === 'applied' && change.op !== 'release') this.changes.push(change)
    if (status.state === 'applied') return status
    if (status.state === 'refused') return { ...status, byPrimary: true, unseen: this.takenElsewhere ? undefined : true }
    return { state: 'unacknowledged', error: new UnacknowledgedError('0 of 1 owners took the change', { cause: status.error }) }
  }
}
