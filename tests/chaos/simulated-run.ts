/**
 * Runs a row in virtual time, from a warm fleet to the last read at rest, and has it judged as the real one is (`row-run.ts`, `judge.ts`).
 */
import { History } from '../../src/testing/index.ts'
import { type ChaosPlan, CLIENTS, SHORT, STALENESS_BOUND_MS } from './chaos-plan.ts'
import { NODES } from './ground.ts'
import { judge, type RowVerdict } from './judge.ts'
import type { KilledClient } from './observed.ts'
import { DEMANDED, type Demand, type FaultRow } from './row.ts'
import { type RowSetting, USUAL } from './row-setting.ts'
import { SimulatedClient } from './simulated-client.ts'
import type { SimulatedFault } from './simulated-fault.ts'
import { SimulatedGround, type SimulatedMistake } from './simulated-ground.ts'

export interface SimulatedRowVerdict extends RowVerdict {
  /** What may never happen on a node, and what the row demands in virtual time alone. */
  readonly beyond: readonly string[]
  /** Of everything that happened, in its order. */
  readonly hash: string
}

const OPEN_MS = 5_000
const WARM_MS = 30_000
const RING_MS = 30_000
const END_MS = 20_000
const START_IN_MS = 50
const LOOK_ON_MS = 500

export function simulatedRow(row: FaultRow, fault: SimulatedFault, seed: number, mistake?: SimulatedMistake): Promise<SimulatedRowVerdict> {
  return new SimulatedRun(row, fault, { ...SHORT, ...fault.plan, seed }, mistake).verdict()
}

class SimulatedRun {
  readonly #row: FaultRow
  readonly #fault: SimulatedFault
  readonly #plan: ChaosPlan
  readonly #setting: RowSetting
  readonly #ground: SimulatedGround
  readonly #clients: SimulatedClient[] = []
  readonly #lives: SimulatedClient[] = []
  readonly #killed: KilledClient[] = []

  constructor(row: FaultRow, fault: SimulatedFault, plan: ChaosPlan, mistake: SimulatedMistake | undefined) {
    this.#row = row
    this.#fault = fault
    this.#plan = plan
    this.#setting = { ...USUAL, ...row.setting }
    this.#ground = new SimulatedGround(plan.seed, mistake)
  }

  async verdict(): Promise<SimulatedRowVerdict> {
    const ground = this.#ground
    const { time } = ground
    const demand: Demand = { ...DEMANDED, ...this.#row.demand }
    const { leadMs, faultMs, afterMs, rate } = this.#plan
    const seeded = await ground.seed()
    ground.slowShards(this.#fault.latencyMs ?? 0)
    for (let nth = 0; nth < CLIENTS; nth++) this.#clients.push(await this.#opened(nth, 0))
    for (const client of this.#clients) await ground.passing(client.warm(), WARM_MS)
    this.#fault.before?.(ground)

    const loadMs = time.nowMs + START_IN_MS
    for (const client of this.#clients) client.start(loadMs, rate / CLIENTS)
    await time.advance(START_IN_MS + leadMs * this.#setting.lead)

    const injectedMs = time.nowMs
    ground.countAskedAnew()
    this.#fault.inject?.(ground)
    await this.#begin()
    await time.advance(Math.max(0, injectedMs + faultMs - time.nowMs))
    await this.#end()
    this.#fault.heal?.(ground)
    const healed = { healedMs: time.nowMs, lagMs: 0, saw: ground.saw, hintsKept: ground.hintsKept }
    const unkept = this.#fault.unkept?.(ground)
    await time.advance(Math.max(afterMs, demand.recoveryMs + LOOK_ON_MS))

    const reports = await this.#all((client) => client.stop())
    await time.advance(STALENESS_BOUND_MS)
    const waiting = await this.#all((client) => client.rest())
    const hintsLeft = ground.hintsKept
    const left = await this.#all((client) => client.close())
    const history = History.of(seeded)
    for (const { notes } of this.#lives) for (const operation of notes.operations()) history.add(operation)
    for (const operation of await ground.read()) history.add(operation)
    const lagMs = { before: 0, after: 0 }
    const verdict = judge(this.#row, demand, this.#plan, {
      loadMs,
      injectedMs,
      healed,
      killed: this.#killed,
      lagMs,
      reports,
      waiting,
      hintsLeft,
      left,
      history,
    })
    return { ...verdict, beyond: [...ground.broken, ...(unkept === undefined ? [] : [unkept])], hash: time.trace.hash }
  }

  async #begin(): Promise<void> {
    const { clients: fault } = this.#row
    if (fault?.do === 'surge') this.#setRate(this.#plan.rate * fault.times)
    else if (fault?.do === 'herd') await this.#all((client) => client.herd(fault.share))
    else if (fault?.do === 'kill') await this.#replace(0)
    else if (fault?.do === 'change-ring') this.#clients[0]!.changeRing(fault.add, fault.remove)
  }

  async #end(): Promise<void> {
    const { clients: fault } = this.#row
    if (fault?.do === 'surge') this.#setRate(this.#plan.rate)
    else if (fault?.do === 'herd') await this.#all((client) => client.herd(0))
    else if (fault?.do === 'change-ring') await this.#ground.passing(this.#clients[0]!.ringChanged(), RING_MS)
  }

  async #replace(nth: number): Promise<void> {
    const { time } = this.#ground
    const killed = this.#clients[nth]!
    killed.kill()
    const [requests, killedMs] = [killed.log(), time.nowMs]
    this.#ground.mistake.killed?.(this.#ground, nth)
    this.#clients[nth] = await this.#opened(nth, 1)
    const replacedMs = time.nowMs + START_IN_MS
    this.#clients[nth].start(replacedMs, this.#plan.rate / CLIENTS)
    this.#killed.push({ requests, killedMs, replacedMs })
  }

  async #opened(process: number, life: number): Promise<SimulatedClient> {
    const { seed, connections } = this.#plan
    const { zone } = NODES[(process * 2) % NODES.length]!
    const opening = SimulatedClient.open(this.#ground, { process, life, zone, seed, connections, setting: this.#setting })
    const client = await this.#ground.passing(opening, OPEN_MS)
    this.#lives.push(client)
    return client
  }

  #setRate(rate: number): void {
    for (const client of this.#clients) client.setRate(rate / CLIENTS)
  }

  #all<T>(work: (client: SimulatedClient) => Promise<T>): Promise<T[]> {
    return this.#ground.passing(Promise.all(this.#clients.map(work)), END_MS)
  }
}
