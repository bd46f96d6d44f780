/**
 * A cluster that is a Map: what strategies and keyspaces need of one, with every change judged by version as the nodes judge it, and
 * with doors that a test opens: nodes that cannot be reached, changes held back.
 */
import type { Cluster, Fetched, PutChange, Replicated } from '../../src/cluster/cluster.ts'
import { supersedes, versionOf } from '../../src/codec/envelope.ts'
import { UnacknowledgedError, UnavailableError } from '../../src/errors.ts'
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
  fetches = 0

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

  async replicate(changes: readonly Change[]): Promise<Replicated[]> {
    await this.hold
    return changes.map((change) => this.#apply(change))
  }

  async compareAndSet(change: PutChange): Promise<Replicated> {
    const held = this.entries.get(change.key)
    const heldVersion = held === undefined || held.bytes[2] !== 1 ? 0n : versionOf(held.bytes)
    if (this.reachable && heldVersion !== change.expected) return { state: 'refused', version: heldVersion }
    return this.#apply(change)
  }

  #apply(change: Change): Replicated {
    if (!this.reachable) return { state: 'unacknowledged', error: new UnacknowledgedError('0 of 1 owners took the change') }
    this.changes.push(change)
    if (change.op === 'drop') {
      this.entries.delete(change.key)
      return { state: 'applied' }
    }
    const held = this.entries.get(change.key)
    if (change.op === 'put' && held !== undefined && !supersedes(change.bytes, held.bytes)) {
      return { state: 'refused', version: versionOf(held.bytes) }
    }
    this.entries.set(change.key, { bytes: change.bytes, ttlMs: change.ttlMs })
    return { state: 'applied' }
  }
}
