/**
 * A walk over all keys of a cache, node by node, a batch at a time.
 *
 * Each key lies on several nodes and is to be looked at once. So a key that is met on another than its first owner is taken up only if none
 * of the owners before holds it: those that do have been walked, or will be. What a node holds that it does not own nobody reads, and it is
 * passed over. A node whose walk breaks is begun again, a few times, and then left out; the nodes walked before it, which left keys to it,
 * are then walked once more for these.
 */
import type { Clock } from '../clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { CacheNode } from '../node/node.ts'
import type { SweepProgress } from './consistency.ts'

export interface SweepParts {
  readonly cluster: Pick<Cluster, 'nodes' | 'ownersOf'>
  readonly prefix: string
  readonly clock: Clock
  /** Keys a step. */
  readonly batch: number
}

/** Walks of one node before it is left out. */
const TRIES = 3
/** After the first that broke, ms; then twice that. */
const BACK_OFF_MS = 1_000
const NODE_TIMEOUT_MS = 1_000

export class Sweep {
  readonly #parts: SweepParts
  readonly #walks: { readonly node: CacheNode; readonly isAgain: boolean }[]
  readonly #missed = new Set<CacheNode>()
  #walked = 0
  #keys = 0
  #tries = 0
  #walk: AsyncIterator<readonly string[]> | undefined
  /** Monotonic, ms: nothing is to be asked before. */
  readyMs = 0

  constructor(parts: SweepParts) {
    this.#parts = parts
    this.#walks = parts.cluster.nodes.map((node) => ({ node, isAgain: false }))
  }

  get isOver(): boolean {
    return this.#walked === this.#walks.length
  }

  progress(): SweepProgress {
    const node = this.#walks[this.#walked]?.node.id
    const missed = Array.from(this.#missed, ({ id }) => id)
    return { node, nodesDone: this.#walked, nodes: this.#walks.length, keys: this.#keys, missed }
  }

  /** The next step. @returns the keys to look at, as they lie on the nodes; perhaps none. Never rejects */
  async next(): Promise<readonly string[]> {
    const { node, isAgain } = this.#walks[this.#walked]!
    try {
      this.#walk ??= node.scan(this.#parts.prefix, { batch: this.#parts.batch })[Symbol.asyncIterator]()
      const step = await this.#walk.next()
      if (step.done === true) {
        this.#leave()
        return []
      }
      const wires = [...new Set(step.value)]
      if (!isAgain) this.#keys += wires.length
      return await this.#firstHere(isAgain ? wires.filter((wire) => this.#wasLeft(wire, node)) : wires, node)
    } catch {
      this.#broken(node)
      return []
    }
  }

  close(): void {
    void this.#walk?.return?.().catch(() => {})
    this.#walk = undefined
  }

  #leave(): void {
    this.#walk = undefined
    this.#tries = 0
    this.#walked++
  }

  #broken(node: CacheNode): void {
    this.close()
    this.#tries++
    this.readyMs = this.#parts.clock.monotonic() + BACK_OFF_MS * 2 ** (this.#tries - 1)
    if (this.#tries < TRIES) return
    this.#missed.add(node)
    const before = this.#walks.slice(0, this.#walked).map(({ node }) => node)
    const again = new Set(this.#walks.flatMap((walk) => (walk.isAgain ? [walk.node] : [])))
    for (const each of before) if (!this.#missed.has(each) && !again.has(each)) this.#walks.push({ node: each, isAgain: true })
    this.#leave()
  }

  /** Whether the walk of this node left a key to one that was then left out. */
  #wasLeft(wire: string, node: CacheNode): boolean {
    const { nodes } = this.#parts.cluster
    const owners = this.#parts.cluster.ownersOf(wire)
    const earlier = owners.slice(0, Math.max(0, owners.indexOf(node)))
    return earlier.some((owner) => this.#missed.has(owner) && nodes.indexOf(owner) > nodes.indexOf(node))
  }

  /** Those that no owner before this one holds. */
  async #firstHere(wires: readonly string[], node: CacheNode): Promise<string[]> {
    const first: string[] = []
    const earlier = new Map<CacheNode, string[]>()
    for (const wire of wires) {
      const owners = this.#parts.cluster.ownersOf(wire)
      const place = owners.indexOf(node)
      if (place === 0) first.push(wire)
      for (const owner of owners.slice(0, Math.max(place, 0))) {
        const asked = earlier.get(owner)
        if (asked === undefined) earlier.set(owner, [wire])
        else asked.push(wire)
      }
    }
    if (earlier.size === 0) return first
    const held = new Set<string>()
    await Promise.all(
      Array.from(earlier, async ([owner, asked]) => {
        // One that was left out has not shown its keys to anybody, and one that does not answer may not.
        if (this.#missed.has(owner)) return
        const found = await owner.getMany(asked, { timeoutMs: NODE_TIMEOUT_MS }).catch(() => [])
        for (const [at, bytes] of found.entries()) if (bytes !== undefined) held.add(asked[at]!)
      }),
    )
    return [...first, ...new Set([...earlier.values()].flat().filter((wire) => !held.has(wire)))]
  }
}
