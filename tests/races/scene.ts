/**
 * A directed race: two tiers, as of two processes, of which one is stopped at just the moment that matters, and what they did as a history.
 */

import { hashRing } from '../../src/index.ts'
import { checkHistory, checkReplicas, type Operation, sharedMs, type Violation } from '../../src/testing/index.ts'
import type { HoldPoint, StoreWatch } from './held-store.ts'
import { dumpNodes } from './node-dumps.ts'
import type { RaceGround } from './race-ground.ts'
import { RACED_CACHES } from './race-plan.ts'
import { openRacedTier, type RacedTier } from './raced-tier.ts'
import type { Protection } from './weakened-node.ts'

export class Scene {
  readonly key: string
  readonly #tiers: readonly RacedTier[]
  readonly #gates: readonly Gate[]
  readonly #history: Operation[] = []
  #value = 0

  readonly #left = new Set<number>()

  private constructor(key: string, tiers: readonly RacedTier[], gates: readonly Gate[]) {
    this.key = key
    this.#tiers = tiers
    this.#gates = gates
  }

  /** Rows are written through; the cache is called `rows`. */
  static async open(ground: RaceGround, key: string, without: Protection | undefined): Promise<Scene> {
    const gates = [new Gate(), new Gate()]
    const rows = RACED_CACHES.filter(({ name }) => name === 'rows').map((each) => ({ ...each, times: { ttl: '1h' } as const }))
    const open = (gate: Gate, process: number) => openRacedTier({ nodes: ground.nodes, without, process }, ground.pool, rows, () => gate)
    const tiers = await Promise.all(gates.map(open))
    return new Scene(key, tiers, gates)
  }

  /** Stops the process the next time that it comes to `point`. */
  stopAt(process: number, point: HoldPoint): { readonly stopped: Promise<void>; readonly release: () => void } {
    return this.#gates[process]!.close(point)
  }

  write(process: number): Promise<void> {
    const v = ++this.#value
    return this.#recorded(process, 'write', () => this.#cacheOf(process).set(this.key, { v }), v)
  }

  delete(process: number): Promise<void> {
    return this.#recorded(process, 'delete', () => this.#cacheOf(process).delete(this.key))
  }

  async read(process: number): Promise<void> {
    const callMs = sharedMs()
    const value = (await this.#cacheOf(process).get(this.key))?.v
    this.#history.push({ process, key: this.key, kind: 'read', value, callMs, returnMs: sharedMs(), outcome: 'ok' })
  }

  /** As nodes without room do, all owners at once. */
  async evict(): Promise<void> {
    await Promise.all(this.#tiers[0]!.nodes.map((node) => node.apply([{ op: 'drop', key: this.#wireKey }], { timeoutMs: 10_000 })))
  }

  /** Lets what a process began behind its callers come to its end. */
  async leave(process: number): Promise<void> {
    this.#left.add(process)
    await this.#tiers[process]!.tier.close()
  }

  /** What the history, and then the nodes, are guilty of. */
  async verdict(): Promise<Violation[]> {
    const { nodes } = this.#tiers.at(-1)!
    await this.#atRest()
    const ring = hashRing().build(nodes, 3)
    const dumps = await dumpNodes(nodes, this.#wireKey)
    const { violations } = checkHistory(this.#history, { store: true })
    return [...violations, ...checkReplicas(dumps, (key) => ring.ownersOf(key).map(({ id }) => id)).violations]
  }

  /** Fills go on behind readers; what was sent to a node is over when it answers what was sent after. */
  async #atRest(): Promise<void> {
    for (const { caches, nodes } of this.#tiers.filter((_, process) => !this.#left.has(process))) {
      await Promise.all(Array.from(caches.values(), (cache) => cache.drained()))
      await Promise.all(nodes.map((node) => node.ping({ timeoutMs: 10_000 })))
    }
  }

  async close(): Promise<void> {
    for (const gate of this.#gates) gate.open()
    await Promise.all(this.#tiers.map(({ tier }) => tier.close()))
  }

  get #wireKey(): string {
    return `rt:rows:${this.key}`
  }

  #cacheOf(process: number) {
    return this.#tiers[process]!.caches.get('rows')!
  }

  async #recorded(process: number, kind: 'write' | 'delete', work: () => Promise<void>, value?: number): Promise<void> {
    const callMs = sharedMs()
    await work()
    const { version } = this.#gates[process]!
    this.#history.push({ process, key: this.key, kind, value, version, callMs, returnMs: sharedMs(), outcome: 'ok' })
  }
}

/** Where one process is stopped, once; it changes one row at a time. */
class Gate implements StoreWatch {
  /** Of the row that the process changed last. */
  version: bigint | undefined
  #closed:
    | { readonly point: HoldPoint; readonly stopped: PromiseWithResolvers<void>; readonly released: PromiseWithResolvers<void> }
    | undefined

  close(point: HoldPoint): { readonly stopped: Promise<void>; readonly release: () => void } {
    const closed = { point, stopped: Promise.withResolvers<void>(), released: Promise.withResolvers<void>() }
    this.#closed = closed
    return { stopped: closed.stopped.promise, release: () => closed.released.resolve() }
  }

  hold(point: HoldPoint): Promise<void> | undefined {
    const closed = this.#closed
    if (closed?.point !== point) return undefined
    this.#closed = undefined
    closed.stopped.resolve()
    return closed.released.promise
  }

  versioned(version: bigint): void {
    this.version = version
  }

  open(): void {
    this.#closed?.released.resolve()
  }
}
