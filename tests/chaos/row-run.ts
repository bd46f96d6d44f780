/**
 * Runs rows: the conductor between the injector, who has the servers and the faults, and the clients, who have the tiers and the load.
 *
 * A row is: a fresh fleet, warm caches, load, the fault's window, healing, load again, and at rest everything read once more, by the clients
 * and straight from the database. What was seen is then judged; here nothing is.
 */
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { type History, type Operation, readHistory, sharedMs } from '../../src/testing/index.ts'
import { ForkedWorker } from '../support/forked-worker.ts'
import { rowOf } from './all-rows.ts'
import { type ClientReport, type Healed, historyFile, type InjectorOrder, type Prepared, triesFile } from './chaos-messages.ts'
import { type ChaosPlan, STALENESS_BOUND_MS } from './chaos-plan.ts'
import { Clients } from './clients.ts'
import { readDatabase, seedDatabase } from './database.ts'
import { judge, type RowVerdict, unmeasured } from './judge.ts'
import { DEMANDED, type Demand, type FaultRow, isMissing, type RowSetting, USUAL } from './row.ts'
import type { RowName } from './row-names.ts'

const INJECTOR = new URL('./injector.ts', import.meta.url)
/** Starting a PostgreSQL and five nodes, on a busy machine too. */
const PREPARED_WITHIN_MS = 60_000
const INJECTED_WITHIN_MS = 30_000
/** Beyond the recovery that is demanded, so that what fails later shows. */
const LOOK_ON_MS = 500

/** What happened in a row, before anybody says whether it was right. */
export interface Observed {
  readonly injectedMs: number
  readonly healed: Healed
  readonly reports: readonly ClientReport[]
  readonly history: History
}

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

  /** Of a void measurement the last try. Never rejects: a row that could not be run has failed, and says why. */
  async row(name: RowName): Promise<RowVerdict> {
    const row = rowOf(name)
    if (isMissing(row)) return unmeasured(name, row.missing)
    for (let tries = 0; ; tries++) {
      const verdict = await this.#once(row)
      if (!verdict.isVoid || tries >= this.#plan.repeats) return verdict
      this.#tell(`${name}: ${verdict.why}; once more`)
    }
  }

  async close(): Promise<void> {
    await this.#injector.close()
  }

  async #once(row: FaultRow): Promise<RowVerdict> {
    const demand: Demand = { ...DEMANDED, ...row.demand }
    try {
      return judge(row, demand, this.#plan, await this.#observe(row, demand))
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return { ...unmeasured(row.name, `could not be run: ${message}`), isVoid: true }
    }
  }

  async #observe(row: FaultRow, demand: Demand): Promise<Observed> {
    const setting: RowSetting = { ...USUAL, ...row.setting }
    const prepare: InjectorOrder = { do: 'prepare', row: row.name, setting, faultMs: this.#plan.faultMs }
    this.#tell(`${row.name}: a fresh fleet`)
    const prepared = await this.#injector.ask<Prepared>(prepare, PREPARED_WITHIN_MS)
    const seeded = await seedDatabase(prepared.databases)
    this.#tell(`${row.name}: clients get warm`)
    const clients = await Clients.open(this.#plan, prepared, setting)
    try {
      await this.#order('before')
      const { injectedMs, healed } = await this.#underLoad(row, setting, demand, clients)
      const reports = await clients.stop()
      this.#tell(`${row.name}: at rest`)
      await pause(STALENESS_BOUND_MS)
      await clients.rest()
      this.#tell(`${row.name}: judged`)
      const history = historyOf(prepared.folder, clients.lives)
      for (const operation of [...seeded, ...(await readDatabase(prepared.databases))]) history.add(operation)
      return { injectedMs, healed, reports, history }
    } finally {
      await clients.close()
    }
  }

  async #underLoad(row: FaultRow, setting: RowSetting, demand: Demand, clients: Clients): Promise<Pick<Observed, 'injectedMs' | 'healed'>> {
    const { leadMs, faultMs, afterMs } = this.#plan
    this.#tell(`${row.name}: load`)
    const startMs = await clients.start()
    await pause(startMs - sharedMs() + leadMs * setting.lead)
    this.#tell(`${row.name}: the fault`)
    const [injectedMs] = await Promise.all([this.#order<number>('inject'), clients.begin(row.clients)])
    await pause(injectedMs + faultMs - sharedMs())
    const [healed] = await Promise.all([this.#order<Healed>('heal'), clients.end(row.clients)])
    this.#tell(`${row.name}: healed`)
    await pause(Math.max(afterMs, demand.recoveryMs + LOOK_ON_MS))
    return { injectedMs, healed }
  }

  #order<T = void>(what: 'before' | 'inject' | 'heal'): Promise<T> {
    return this.#injector.ask<T>({ do: what }, INJECTED_WITHIN_MS)
  }
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

const nameOf = ({ process, key, callMs }: Pick<Operation, 'process' | 'key' | 'callMs'>): string => `${process} ${key} ${callMs}`
