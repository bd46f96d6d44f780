/**
 * What chaos is made on: five Redis servers in three zones and a PostgreSQL of three shards, each behind a proxy with a door for each client.
 *
 * It lives in the injector's process, so that neither the bytes nor the faults cost the clients anything. The database is started once; nodes
 * are new for each row.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startToxicProxy, type ToxicProxy } from '../../src/testing/index.ts'
import { type RunningPostgres, startPostgres } from '../support/postgres.ts'
import type { ClientWay, Prepared } from './chaos-messages.ts'
import { CLIENTS } from './chaos-plan.ts'
import { SHARDS } from './database.ts'
import { GroundNode } from './ground-node.ts'
import type { RowSetting } from './row-setting.ts'
import { ServerKeeper } from './server-keeper.ts'

/** Two zones of two nodes and one of one: losing any leaves each key an owner. */
export const NODES = [
  { id: 'n1', zone: 'a' },
  { id: 'n2', zone: 'a' },
  { id: 'n3', zone: 'b' },
  { id: 'n4', zone: 'b' },
  { id: 'n5', zone: 'c' },
] as const

/** In nobody's ring at first. */
export const SPARES = [{ id: 'n6', zone: 'c' }] as const

/** Small buffers: each backend maps them, and where 144 end at once, as a silent database comes back, that takes the machine a fifth of a second. */
const SETTINGS = { shared_buffers: '8MB', max_connections: '200', wal_level: 'logical' } as const

export class Ground {
  readonly folder = mkdtempSync(join(tmpdir(), 'ringtail-chaos-'))
  readonly shards: readonly ToxicProxy[]
  readonly #postgres: RunningPostgres
  readonly #keeper = new ServerKeeper()
  #nodes: readonly GroundNode[] = []
  #spares: readonly GroundNode[] = []
  #rowFolder = ''
  #rows = 0
  #repeating: { over: boolean; readonly ended: Promise<void> } | undefined
  readonly #saw = new Map<string, number>()
  faultMs = 0

  private constructor(postgres: RunningPostgres, shards: readonly ToxicProxy[]) {
    this.#postgres = postgres
    this.shards = shards
    chmodSync(this.folder, 0o755)
  }

  static async start(): Promise<Ground> {
    const postgres = await startPostgres({ databases: SHARDS, settings: SETTINGS })
    return new Ground(postgres, await Promise.all(SHARDS.map((shard) => startToxicProxy({ to: postgres.url(shard) }))))
  }

  get nodes(): readonly GroundNode[] {
    return this.#nodes
  }

  node(id: string): GroundNode {
    const node = this.#nodes.find((each) => each.id === id)
    if (node === undefined) throw new Error(`chaos: there is no node ${id}`)
    return node
  }

  /** A fresh fleet. */
  async prepare(setting: RowSetting, faultMs: number): Promise<Prepared> {
    await this.#clear()
    this.faultMs = faultMs
    // A database that comes back begins and ends backends by the dozen; one that is asked for more than it can do needs what it can get.
    this.#postgres.setOneShare(setting.staleShards.length > 0)
    this.#rowFolder = join(this.folder, `row-${++this.#rows}`)
    const started = (nodes: readonly { readonly id: string; readonly zone: string }[]): Promise<GroundNode[]> =>
      Promise.all(
        nodes.map((node) =>
          GroundNode.start({ ...node, folder: join(this.#rowFolder, node.id), isFull: setting.full, keeper: this.#keeper }),
        ),
      )
    ;[this.#nodes, this.#spares] = await Promise.all([started(NODES), started(setting.spares)])
    this.setWallClock('+0')
    const ways = await Promise.all(Array.from({ length: CLIENTS }, (_, nth) => this.#wayOf(nth)))
    const databases = SHARDS.map((shard) => this.#postgres.url(shard))
    return { ways, databases, folder: this.#rowFolder, clockFile: this.#clockFile }
  }

  /** Toxics of one client's way to a node. */
  async doorOf(node: string, client: number) {
    return this.node(node).proxy.door(`client-${client}`)
  }

  /** Of the client that runs under a wall clock of its own; in the form of `faketime`: `+10m`. */
  setWallClock(offset: string): void {
    writeFileSync(this.#clockFile, `${offset}\n`)
  }

  /** Counts what was seen of the fault, to prove that it came about. */
  saw(what: string, count: number): void {
    this.#saw.set(what, (this.#saw.get(what) ?? 0) + count)
  }

  get sawSoFar(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#saw)
  }

  /** The most that one node keeps of hints for another; of those that answer. */
  async hintsKept(): Promise<number> {
    const kept = await Promise.all([...this.#nodes, ...this.#spares].map((node) => node.hintsKept().catch(() => 0)))
    return Math.max(0, ...kept)
  }

  /** What was seen before is of another fault. */
  forget(): void {
    this.#saw.clear()
  }

  /** Again and again until `stopRepeating`, with a pause in between. */
  repeat(everyMs: number, work: (turn: number) => Promise<void>): void {
    const state = { over: false, ended: Promise.resolve() }
    state.ended = (async () => {
      for (let turn = 0; !state.over; turn++) {
        await work(turn)
        await pause(everyMs)
      }
    })()
    state.ended.catch(() => {})
    this.#repeating = state
  }

  async stopRepeating(): Promise<void> {
    const state = this.#repeating
    this.#repeating = undefined
    if (state === undefined) return
    state.over = true
    await state.ended
  }

  async stop(): Promise<void> {
    await this.#clear()
    await Promise.all(this.shards.map((proxy) => proxy.close()))
    await this.#keeper.close()
    await this.#postgres.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  get #clockFile(): string {
    return join(this.folder, 'wall-clock')
  }

  async #wayOf(client: number): Promise<ClientWay> {
    const door = `client-${client}`
    const waysTo = (nodes: readonly GroundNode[]) =>
      Promise.all(nodes.map(async ({ id, zone, proxy }) => ({ id, zone, url: (await proxy.door(door)).url() })))
    const shards = this.shards.map(async (proxy) => (await proxy.door(door)).url())
    return { nodes: await waysTo(this.#nodes), spares: await waysTo(this.#spares), shards: await Promise.all(shards) }
  }

  async #clear(): Promise<void> {
    await this.stopRepeating().catch(() => {})
    await Promise.all([...this.#nodes, ...this.#spares].map((node) => node.stop()))
    this.#nodes = []
    this.#spares = []
    await Promise.all(this.shards.map((proxy) => proxy.heal()))
  }
}
