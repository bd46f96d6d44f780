/**
 * A cluster on a ring: each key on its N owners, read from the first that answers, written to all.
 *
 * Reads walk the owners in the ring's order: a node that fails a try, or does not answer it in time, costs the caller that try and is
 * followed by the next owner. Writes go to every owner at once and are acknowledged when as many as the level asks for have answered;
 * each owner judges a change by itself, by version, so that they agree whatever order changes reach them in.
 */
import type { Clock } from '../clock.ts'
import { type RingtailError, UnacknowledgedError, UnavailableError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, Change } from '../node/node.ts'
import type { Ring } from '../ring/ring.ts'
import type { Cluster, ClusterCall, Fetched, PutChange, Replicated, WriteLevel } from './cluster.ts'
import { OwnerWalk, type WalkContext } from './owner-walk.ts'
import { type MissedListener, type NodePart, Replication } from './replication.ts'

/** What the nodes may take to answer, in all, ms. */
const DEADLINE_MS = 250
/** What one node may take before the next owner is asked, ms. */
const TRY_TIMEOUT_MS = 50

export interface ClusterParts {
  readonly clock: Clock
  readonly emit: Emit
  readonly deadlineMs?: number | undefined
  readonly tryTimeoutMs?: number | undefined
  /** Told of each read that a node failed and of each write that it missed. */
  readonly nodeFailed?: ((node: string) => void) | undefined
}

export class RingCluster implements Cluster {
  readonly #ring: Ring<CacheNode>
  readonly #context: WalkContext
  readonly #emit: Emit
  readonly #deadlineMs: number

  constructor(ring: Ring<CacheNode>, parts: ClusterParts) {
    this.#ring = ring
    this.#emit = parts.emit
    this.#deadlineMs = parts.deadlineMs ?? DEADLINE_MS
    const firstCall = { timeoutMs: parts.tryTimeoutMs ?? TRY_TIMEOUT_MS }
    this.#context = { clock: parts.clock, firstCall, nodeFailed: parts.nodeFailed ?? (() => {}) }
  }

  get nodes(): readonly CacheNode[] {
    return this.#ring.members
  }

  get replicas(): number {
    return this.#ring.replicas
  }

  ownersOf(key: string): readonly CacheNode[] {
    return this.#ring.ownersOf(key)
  }

  fetch(key: string, settle: (fetched: Fetched) => void, call?: ClusterCall): void {
    new OwnerWalk(key, this.#ring.ownersOf(key), call?.deadlineMs ?? this.#deadlineMs, this.#context, settle).start()
  }

  async fetchMany(keys: readonly string[], call?: ClusterCall): Promise<Fetched[]> {
    const results = new Array<Fetched>(keys.length)
    const deadlineMs = call?.deadlineMs ?? this.#deadlineMs
    const deadlineAtMs = this.#context.clock.monotonic() + deadlineMs
    let left = Array.from(keys.keys())
    for (let attempt = 0; left.length > 0 && attempt < this.#ring.replicas; attempt++) {
      const remainingMs = deadlineAtMs - this.#context.clock.monotonic()
      // After the last owners there is nobody to ask, so they have all the time that is left.
      const timeoutMs = attempt === this.#ring.replicas - 1 ? remainingMs : Math.min(this.#context.firstCall.timeoutMs, remainingMs)
      if (timeoutMs <= 0) break
      left = await this.#fetchFromNthOwners(attempt, keys, left, results, timeoutMs)
    }
    for (const position of left) {
      const cause = results[position]?.failure
      results[position] = unanswered(
        new UnavailableError(`none of the ${this.replicas} owners answered within ${deadlineMs} ms`, { cause }),
      )
    }
    return results
  }

  replicate(changes: readonly Change[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]> {
    if (changes.length === 0) return Promise.resolve([])
    return new Promise((resolve) => {
      const replication = new Replication(changes.length, this.replicas, level, this.#hearMissed, resolve)
      const nodeCall = { timeoutMs: call?.deadlineMs ?? this.#deadlineMs }
      for (const [node, part] of this.#partsByNode(changes)) replication.send(node, part, nodeCall)
    })
  }

  async compareAndSet(change: PutChange, level: WriteLevel, call?: ClusterCall): Promise<Replicated> {
    const [primary, ...others] = this.#ring.ownersOf(change.key)
    const nodeCall = { timeoutMs: call?.deadlineMs ?? this.#deadlineMs }
    const [status] = await primary!.apply([change], nodeCall)
    if (status!.state === 'refused') return status!
    if (status!.state !== 'applied') {
      return {
        state: 'unacknowledged',
        error: new UnacknowledgedError("the key's primary did not take the change", { cause: status!.error }),
      }
    }
    const { expected: _, ...put } = change
    const [replicated] = await new Promise<Replicated[]>((resolve) => {
      const replication = new Replication(1, this.replicas, level, this.#hearMissed, resolve)
      for (const node of others) replication.send(node, { changes: [put], positions: [0], primary: [false] }, nodeCall)
      replication.acknowledge(0)
    })
    // An owner that holds something newer was overtaken after the primary had taken this change: it did happen.
    return replicated!.state === 'refused' ? { state: 'applied' } : replicated!
  }

  /** Asks the nth owner of each key that is left. @returns the positions whose owner did not answer */
  async #fetchFromNthOwners(
    nth: number,
    keys: readonly string[],
    positions: number[],
    results: Fetched[],
    timeoutMs: number,
  ): Promise<number[]> {
    const groups = new Map<CacheNode, number[]>()
    for (const position of positions) {
      const owner = this.#ring.ownersOf(keys[position]!)[nth]!
      const group = groups.get(owner)
      if (group === undefined) groups.set(owner, [position])
      else group.push(position)
    }
    const left: number[] = []
    const ask = async (node: CacheNode, group: readonly number[]): Promise<void> => {
      try {
        const replies = await node.getMany(
          group.map((position) => keys[position]!),
          { timeoutMs },
        )
        for (let at = 0; at < group.length; at++) results[group[at]!] = { bytes: replies[at], node, failure: undefined }
      } catch (error) {
        this.#context.nodeFailed(node.id)
        for (const position of group) {
          results[position] = unanswered(error as RingtailError)
          left.push(position)
        }
      }
    }
    await Promise.all(Array.from(groups, ([node, group]) => ask(node, group)))
    return left
  }

  readonly #hearMissed: MissedListener = (node, changes, reason) => {
    this.#context.nodeFailed(node.id)
    this.#emit('write:missed', { node: node.id, changes, reason })
  }

  #partsByNode(changes: readonly Change[]): Map<CacheNode, NodePart> {
    const parts = new Map<CacheNode, NodePart>()
    for (let position = 0; position < changes.length; position++) {
      const change = changes[position]!
      const owners = this.#ring.ownersOf(change.key)
      for (const owner of owners) {
        let part = parts.get(owner)
        if (part === undefined) {
          part = { changes: [], positions: [], primary: [] }
          parts.set(owner, part)
        }
        part.changes.push(change)
        part.positions.push(position)
        part.primary.push(owner === owners[0])
      }
    }
    return parts
  }
}

function unanswered(failure: RingtailError): Fetched {
  return { bytes: undefined, node: undefined, failure }
}
