/**
 * Runs rows: the conductor between the injector, who has the servers and the faults, and the clients, who have the tiers and the load.
 *
 * A row is: a fresh fleet, warm caches, load, the fault's window, healing, load again, and at rest everything read once more, by the clients
 * and straight from the database. What was seen is then judged; here nothing is.
 */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Random } from '../../src/index.ts'
import { type History, type Operation, readHistory, sharedMs } from '../../src/testing/index.ts'
import { ForkedWorker } from '../support/forked-worker.ts'
import { rowOf } from './all-rows.ts'
import { type Healed, historyFile, type Injected, type InjectorOrder, type Prepared, triesFile } from './chaos-messages.ts'
import { type ChaosPlan, STALENESS_BOUND_MS } from './chaos-plan.ts'
import { Clients } from './clients.ts'
import { readDatabase, seedDatabase } from './database.ts'
import { SPARES } from './ground.ts'
import { isVoid, judge, type RowVerdict, unmeasured } from './judge.ts'
import type { FaultSpan, Observed } from './observed.ts'
import { DEMANDED, type Demand, type FaultRow, isMissing } from './row.ts'
import type { RowName } from './row-names.ts'
import { type RowSetting, USUAL } from './row-setting.ts'

const INJECTOR = new URL('./injector.ts', import.meta.url)
/** Starting a PostgreSQL and five nodes, on a busy machine too. */
const PREPARED_WITHIN_MS = 60_000
const INJECTED_WITHIN_MS = 30_000
/** Beyond the recovery that is demanded, so that what fails later shows. */
const LOOK_ON_MS = 500
/** However many times its lead a row wants. */
const MOST_LEAD_MS = 8_000

/** How long a fault of a soak lasts, ms, and how long the fleet then has to recover. */
const SOAK_FAULT_MS = [3_000, 12_000] as const
const SOAK_PAUSE_MS = [4_000, 8_000] as const

type Fault = Pick<Observed, 'loadMs' | 'injectedMs' | 'healed' | 'lagMs' | 'faults'>

export class ChaosRun {
  readonly #plan: ChaosPlan
  readonly #tell: (text: string) => void
  readonly #injector: ForkedWorker<InjectorOrder>

  /** @param tell hears what is going on */
  constructor(plan: ChaosPlan, tell: (text: string) => void = () => {}) {
    this.#plan = plan
    this.#tell = tell
    this.#injector = new ForkedWorker<InjectorOrder>(INJECTOR)
  }

  /** A void measurement is repeated, as often as the plan says; the last counts. Never rejects: a row that could not be run has failed, and says why. */
  async row(name: RowName): Promise<RowVerdict> {
    for (let tries = 0; ; tries++) {
      const verdict = await this.once(name)
      if (!isVoid(verdict) || tries >= this.#plan.repeats) return verdict
      this.#tell(`${name}: ${verdict.why}; once more`)
    }
  }

  async close(): Promise<void> {
    await this.#injector.close()
  }

  /** One random fault after another, judged as a whole. @param faults what may happen */
  async soak(forMs: number, faults: readonly RowName[], random: Random): Promise<RowVerdict> {
    const setting: RowSetting = { ...USUAL, full: true, spares: SPARES }
    try {
      const observed = await this.#observe('soak', setting, (clients) => this.#faultAfterFault(forMs, faults, random, clients))
      return judge({ name: 'soak' }, { ...DEMANDED, emptied: true }, this.#plan, observed)
    } catch (error) {
      return unmeasured('soak', `could not be run: ${messageOf(error)}`)
    }
  }

  /** Never rejects: a row that could not be run has failed, and says why. */
  async once(name: RowName): Promise<RowVerdict> {
    const row = rowOf(name)
    if (isMissing(row)) return unmeasured(name, row.missing)
    const demand: Demand = { ...DEMANDED, evicting: row.setting?.full === true, ...row.demand }
    const setting: RowSetting = { ...USUAL, ...row.setting }
    try {
      const observed = await this.#observe(name, setting, async (clients) => this.#fault(row, name, demand, setting, clients))
      return judge(row, demand, this.#plan, observed)
    } catch (error) {
      return unmeasured(name, `could not be run: ${messageOf(error)}`)
    }
  }

  /** @param happening what happens while clients are warm and connected; it lets load begin */
  async #observe(name: RowName | 'soak', setting: RowSetting, happening: (clients: Clients) => Promise<Fault>): Promise<Observed> {
    this.#tell(`${name}: a fresh fleet`)
    const prepared = await this.#injector.ask<Prepared>({ do: 'prepare', setting, faultMs: this.#plan.faultMs }, PREPARED_WITHIN_MS)
    const seeded = await seedDatabase(prepared.databases, setting.captured)
    this.#tell(`${name}: clients get warm`)
    const clients = await Clients.open(this.#plan, prepared, setting)
    try {
      const fault = await happening(clients)
      const reports = await clients.stop()
      this.#tell(`${name}: at rest`)
      await pause(STALENESS_BOUND_MS)
      const waiting = await clients.rest()
      const hintsLeft = await this.#injector.ask<number>({ do: 'hints' }, INJECTED_WITHIN_MS)
      const left = await clients.letGo()
      this.#tell(`${name}: judged`)
      const history = historyOf(prepared.folder, clients.lives)
      for (const operation of [...seeded, ...(await readDatabase(prepared.databases))]) history.add(operation)
      return { ...fault, reports, waiting, hintsLeft, left, history, killed: clients.killed }
    } finally {
      await clients.close()
    }
  }

  async #fault(row: FaultRow, name: RowName, demand: Demand, setting: RowSetting, clients: Clients): Promise<Fault> {
    const { leadMs, faultMs, afterMs } = this.#plan
    await this.#order('before', name)
    this.#tell(`${name}: load`)
    const loadMs = await this.#runIn(clients)
    await this.#lagMs()
    await until(loadMs + Math.max(leadMs, Math.min(leadMs * setting.lead, MOST_LEAD_MS)))
    this.#tell(`${name}: the fault`)
    const [{ injectedMs, lagMs: beforeMs }] = await Promise.all([this.#order<Injected>('inject', name), clients.begin(row.clients)])
    await until(injectedMs + faultMs)
    await clients.end(row.clients)
    const healed = await this.#order<Healed>('heal', name)
    this.#tell(`${name}: healed`)
    await pause(Math.max(afterMs, demand.recoveryMs + LOOK_ON_MS))
    return { loadMs, injectedMs, healed, lagMs: { before: beforeMs, after: await this.#lagMs() } }
  }

  async #faultAfterFault(forMs: number, faults: readonly RowName[], random: Random, clients: Clients): Promise<Fault> {
    const loadMs = await this.#runIn(clients)
    await this.#lagMs()
    const between = (least: number, most: number): number => least + random() * (most - least)
    await until(loadMs + this.#plan.leadMs)
    let fault: Omit<Fault, 'lagMs'> | undefined
    const spans: FaultSpan[] = []
    let isSpareIn = false
    let [mostMs, beforeMs] = [0, 0]
    while (fault === undefined || sharedMs() - loadMs < forMs) {
      const name = faults[Math.floor(random() * faults.length)]!
      this.#tell(`soak: ${name}`)
      const { injectedMs, lagMs } = await this.#order<Injected>('inject', name)
      if (fault === undefined) beforeMs = lagMs
      const row = rowOf(name)
      const change = isMissing(row) ? undefined : ringChange(row.clients, isSpareIn)
      if (change !== undefined) isSpareIn = !isSpareIn
      await clients.begin(change)
      await pause(between(...SOAK_FAULT_MS))
      await clients.end(change)
      const healed = await this.#order<Healed>('heal', name)
      mostMs = Math.max(mostMs, healed.lagMs, fault === undefined ? 0 : lagMs)
      fault = { loadMs, injectedMs: fault?.injectedMs ?? injectedMs, healed: { ...healed, lagMs: mostMs } }
      spans.push({ name, injectedMs, healedMs: healed.healedMs })
      this.#tell(`soak: ${name} is over`)
      await pause(between(...SOAK_PAUSE_MS))
    }
    return { ...fault, faults: spans, lagMs: { before: beforeMs, after: await this.#lagMs() } }
  }

  /** @returns when what clients do begins to count, by `sharedMs` */
  async #runIn(clients: Clients): Promise<number> {
    const { rate, runInMs } = this.#plan
    const startMs = await clients.start(runInMs > 0 ? rate / 4 : rate)
    if (runInMs === 0) return startMs
    await until(startMs + runInMs / 2)
    await clients.setRate(rate)
    await until(startMs + runInMs)
    return startMs + runInMs
  }

  /** By how much the proxies were late since this was last asked. */
  #lagMs(): Promise<number> {
    return this.#injector.ask<number>({ do: 'lag' }, INJECTED_WITHIN_MS)
  }

  #order<T = void>(what: 'before' | 'inject' | 'heal', row: RowName): Promise<T> {
    return this.#injector.ask<T>({ do: what, row }, INJECTED_WITHIN_MS)
  }
}

/** Of a row that adds a node: it is removed where it is in already. */
function ringChange(fault: FaultRow['clients'], isIn: boolean): FaultRow['clients'] {
  if (fault?.do !== 'change-ring') return undefined
  return isIn ? { ...fault, add: fault.remove, remove: fault.add } : fault
}

/** What all lives of all processes recorded, and what the killed ones were about to write. */
function historyOf(folder: string, lives: readonly number[]): History {
  const each = lives.flatMap((last, process) => Array.from({ length: last + 1 }, (_, life) => [process, life] as const))
  const history = readHistory(each.map(([process, life]) => historyFile(folder, process, life)))
  const told = new Set<string>()
  for (let at = 0; at < history.size; at++) {
    const operation = history.at(at)
    if (operation.kind !== 'read') told.add(nameOf(operation))
  }
  for (const [process, life] of each) {
    const file = triesFile(folder, process, life)
    if (!existsSync(file)) continue
    for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
      const tried = JSON.parse(line) as Omit<Operation, 'returnMs' | 'outcome'>
      if (!told.has(nameOf(tried))) history.add({ ...tried, returnMs: tried.callMs, outcome: 'unknown' })
    }
  }
  return history
}

/** By `sharedMs`. */
const until = (ms: number): Promise<void> => pause(Math.max(0, ms - sharedMs()))

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const nameOf = ({ process, key, callMs }: Pick<Operation, 'process' | 'key' | 'callMs'>): string => `${process} ${key} ${callMs}`
