/**
 * The client processes of a row, told what to do all at once; one can be killed and followed by another.
 */

import { sharedMs } from '../../src/testing/index.ts'
import { ForkedWorker } from '../support/forked-worker.ts'
import type { ClientOrder, ClientReport, Prepared } from './chaos-messages.ts'
import { type ChaosPlan, CLIENTS } from './chaos-plan.ts'
import { NODES } from './ground.ts'
import type { KilledClient } from './observed.ts'
import type { RequestColumns } from './request-log.ts'
import type { FaultRow } from './row.ts'
import type { RowSetting } from './row-setting.ts'
import { fakeClockEnvironment } from './wall-clock.ts'

const MAIN = new URL('./chaos-client.ts', import.meta.url)
const ANSWER_WITHIN_MS = 30_000
const START_IN_MS = 50

export class Clients {
  readonly #plan: ChaosPlan
  readonly #prepared: Prepared
  readonly #setting: RowSetting
  readonly #workers: ForkedWorker<ClientOrder>[]
  readonly #lives: number[]
  readonly #killed: KilledClient[] = []

  private constructor(plan: ChaosPlan, prepared: Prepared, setting: RowSetting) {
    this.#plan = plan
    this.#prepared = prepared
    this.#setting = setting
    this.#workers = Array.from({ length: CLIENTS }, (_, nth) => this.#fork(nth))
    this.#lives = this.#workers.map(() => 0)
  }

  /** Connected, and warm where the row wants it. */
  static async open(plan: ChaosPlan, prepared: Prepared, setting: RowSetting): Promise<Clients> {
    const clients = new Clients(plan, prepared, setting)
    try {
      const opening = clients.#workers.map((_, nth) => () => clients.#openOne(nth))
      // Who comes first follows the database.
      if (setting.captured) for (const open of opening) await open()
      else await Promise.all(opening.map((open) => open()))
      // One loads what is missing, the others read.
      if (setting.warm) for (let nth = 0; nth < CLIENTS; nth++) await clients.#ask(nth, { do: 'warm' })
      return clients
    } catch (error) {
      await clients.close()
      throw error
    }
  }

  /** Of each process: how many have had its place. */
  get lives(): readonly number[] {
    return this.#lives
  }

  get killed(): readonly KilledClient[] {
    return this.#killed
  }

  /** @param rate a second, of all together @returns when load begins, by `sharedMs` */
  async start(rate: number): Promise<number> {
    const startMs = sharedMs() + START_IN_MS
    await this.#all({ do: 'start', startMs, rate: rate / CLIENTS })
    return startMs
  }

  async setRate(rate: number): Promise<void> {
    await this.#all({ do: 'rate', rate: rate / CLIENTS })
  }

  async begin(fault: FaultRow['clients']): Promise<void> {
    if (fault?.do === 'surge') await this.setRate(this.#plan.rate * fault.times)
    else if (fault?.do === 'herd') await this.#all({ do: 'herd', share: fault.share })
    else if (fault?.do === 'kill') await this.#replace(0)
    else if (fault?.do === 'change-ring') await this.#ask(0, fault)
  }

  async end(fault?: FaultRow['clients']): Promise<void> {
    if (fault?.do === 'surge') await this.setRate(this.#plan.rate)
    else if (fault?.do === 'herd') await this.#all({ do: 'herd', share: 0 })
    else if (fault?.do === 'change-ring') await this.#ask(0, { do: 'ring-changed' })
  }

  stop(): Promise<ClientReport[]> {
    return this.#all<ClientReport>({ do: 'stop' })
  }

  /** Reads once more what may have changed. @returns of each, what queues then do not get rid of, by kind */
  rest(): Promise<Record<string, number>[]> {
    return this.#all<Record<string, number>>({ do: 'rest' })
  }

  /** Lets go of tier, journal and store. @returns of each, what keeps its process from ending then */
  letGo(): Promise<string[][]> {
    return this.#all<string[]>({ do: 'close' })
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#workers.map((worker) => worker.close()))
  }

  async #replace(nth: number): Promise<void> {
    // Whatever it has seen is gone with it.
    const requests = await this.#ask<RequestColumns>(nth, { do: 'log' })
    await this.#workers[nth]!.kill()
    const killedMs = sharedMs()
    this.#lives[nth]!++
    this.#workers[nth] = this.#fork(nth)
    await this.#openOne(nth)
    const replacedMs = sharedMs() + START_IN_MS
    await this.#ask(nth, { do: 'start', startMs: replacedMs, rate: this.#plan.rate / CLIENTS })
    this.#killed.push({ requests, killedMs, replacedMs })
  }

  async #openOne(nth: number): Promise<void> {
    const { folder, ways } = this.#prepared
    const { zone } = NODES[(nth * 2) % NODES.length]!
    const own = {
      process: nth,
      life: this.#lives[nth] ?? 0,
      zone,
      folder,
      seed: this.#plan.seed,
      connections: this.#plan.connections,
      setting: this.#setting,
    }
    await this.#ask(nth, { do: 'open', setting: { ...ways[nth]!, ...own } })
  }

  #fork(nth: number): ForkedWorker<ClientOrder> {
    const also = this.#setting.fakeClock && nth === 0 ? fakeClockEnvironment(this.#prepared.clockFile) : {}
    return new ForkedWorker<ClientOrder>(MAIN, () => {}, also)
  }

  #ask<T>(nth: number, order: ClientOrder): Promise<T> {
    return this.#workers[nth]!.ask<T>(order, ANSWER_WITHIN_MS)
  }

  #all<T>(order: ClientOrder): Promise<T[]> {
    return Promise.all(this.#workers.map((_, nth) => this.#ask<T>(nth, order)))
  }
}
