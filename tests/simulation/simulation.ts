/**
 * One seed, run: what was planned happens, everything is healed, and the fleet is looked at until it must agree.
 *
 * After the last operation the run goes through four stages. Healed: every call ends, reads keep their promises at once, and bring the
 * owners together while what the faults left still lives. Old copies are over: every cache reads exactly what the store has, and owners
 * hold it. Written: a last write of each key lies on all its owners. Closed: no timer and no call is left. The first violation ends nothing:
 * all of them are reported.
 */
import { type Violation, name as valueName } from './checks.ts'
import { Convergence } from './convergence.ts'
import { ALL_FAULTS, type FaultName } from './faults.ts'
import { type Acting, CACHES, type CacheKind, type CacheName, OPERATIONS, type Operation } from './operations.ts'
import { type Plan, type PlannedOperation, planOf } from './plan.ts'
import type { PlantedBug } from './planted-bugs.ts'
import { type Step, Trace } from './trace.ts'
import type { Value } from './truth.ts'
import { CALL_MS, type Client, LOAD_MS, World } from './world.ts'

export interface RunOptions {
  readonly bug?: PlantedBug | undefined
  /** Keeps the steps of the run, for a report. */
  readonly record?: boolean | undefined
  /** Told once the tiers are open. */
  readonly opened?: ((world: World) => void) | undefined
  /** Told of each planned operation as it ends. */
  readonly ended?: ((ended: Ended) => void) | undefined
}

export interface Ended {
  readonly planned: PlannedOperation
  readonly callMs: number
  readonly tookMs: number
  /** What it rejected with. */
  readonly error: unknown
}

export interface Outcome {
  readonly seed: number
  readonly plan: Plan
  readonly violations: readonly Violation[]
  /** Of everything that happened, in its order. */
  readonly hash: string
  readonly steps: number
  readonly operations: number
  readonly faults: number
  /** Operations that ended well, and that failed with an error of the library. */
  readonly succeeded: number
  readonly failed: number
  /** Reads and writes that were judged. */
  readonly judged: number
  readonly virtualMs: number
  readonly lastSteps: (count: number, key?: string) => readonly Step[]
}

/** By when every call has ended, once all is healed. */
const ALL_ENDED_MS = 6_000
const STEP_MS = 20
/** What closing may take: four times the longest deadline for calls that do not end, and 2 s for hints. */
const CLOSED_MS = 10_000
/** Leases, and guards of saves whose outcome is unknown, which are left again after a load's deadline. */
const LEFT_BEHIND_MS = 1_200

export function runSeed(seed: number, options: RunOptions = {}): Promise<Outcome> {
  return runPlan(planOf(seed), options)
}

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const trace = new Trace(options.record)
  const world = await World.open(plan, trace, options.bug)
  options.opened?.(world)
  const run = new Run(world, options.ended)
  run.schedule()
  await world.time.advance(plan.lengthMs + 1)
  await run.settle()
  await run.close()
  return {
    seed: plan.seed,
    plan,
    violations: world.violations,
    hash: trace.hash,
    steps: world.time.steps,
    operations: plan.operations.length,
    faults: plan.faults.length,
    succeeded: run.succeeded,
    failed: run.failed,
    judged: world.checks.judged,
    virtualMs: world.time.nowMs,
    lastSteps: (count, key) => trace.last(count, key),
  }
}

class Run {
  readonly #world: World
  readonly #ended: RunOptions['ended']
  #underWay = 0
  succeeded = 0
  failed = 0

  constructor(world: World, ended: RunOptions['ended']) {
    this.#world = world
    this.#ended = ended
  }

  /** Everything planned, as events. */
  schedule(): void {
    const { plan, time } = this.#world
    for (const operation of plan.operations) {
      const client = this.#world.members[operation.client]!
      time.schedule(operation.atMs, client.name, operation.name, () => void this.#perform(client, operation))
    }
    for (const planned of plan.faults) {
      const fault = ALL_FAULTS[planned.name as FaultName]
      time.schedule(planned.atMs, 'fault', planned.name, () => {
        this.#world.tell(
          'fault',
          '',
          () => `${planned.name}: node n${planned.node}, client c${planned.client}, for ${planned.forMs.toFixed(0)} ms`,
        )
        fault.begin(this.#world, planned)
      })
      time.schedule(planned.atMs + planned.forMs, 'fault', 'over', () => {
        this.#world.tell('fault', '', () => `over: ${planned.name}`)
        fault.end(this.#world, planned)
      })
    }
  }

  async settle(): Promise<void> {
    const world = this.#world
    world.heal()
    world.tell('healed', '', () => 'everything is whole again')
    await this.#readAll()
    await this.#end()
    const convergence = new Convergence(world)
    await convergence.checkReads(false)
    await world.time.advance(world.checks.longestMs)
    await this.#checkTruth()
    await convergence.checkReads(true)
    await convergence.checkWrites()
  }

  async close(): Promise<void> {
    const { members, time } = this.#world
    let open = members.length
    for (const { tier } of members) void tier.close().then(() => open--)
    // A call that nobody ends is waited for as long as closing may wait, and then it is closed all the same.
    await this.#until(() => open === 0, CLOSED_MS)
    if (open > 0) this.#violate('leak', '', `${open} tiers did not close`)
    await time.advance(2 * LOAD_MS)
    for (const { name, clock, lines } of members) {
      if (clock.pendingTimers > 0) this.#violate('leak', '', `${name} is closed and has ${clock.pendingTimers} timers`)
      const calls = lines.reduce((sum, { node }) => sum + node.pendingCalls, 0)
      if (calls > 0) this.#violate('leak', '', `${name} is closed and has ${calls} calls under way`)
    }
  }

  /** Until no call is under way, and what they left behind is done. */
  async #end(): Promise<void> {
    const { time } = this.#world
    await this.#until(() => this.#underWay === 0, ALL_ENDED_MS)
    if (this.#underWay > 0) this.#violate('hung', '', `${this.#underWay} calls never ended`)
    await time.advance(LEFT_BEHIND_MS)
  }

  async #until(isSo: () => boolean, boundMs: number): Promise<void> {
    const { time } = this.#world
    for (const endMs = time.nowMs + boundMs; !isSo() && time.nowMs < endMs; ) await time.advance(STEP_MS)
  }

  async #perform(client: Client, planned: PlannedOperation): Promise<void> {
    const { checks, time } = this.#world
    const operation: Operation = OPERATIONS[planned.name]
    const keys = planned.keys.map((at) => `${planned.cache}${at}`)
    const wire = World.wireKey(planned.cache, keys[0]!)
    const callMs = time.nowMs
    this.#world.tell(client.name, wire, () => `${planned.name}(${keys.join(', ')})`)
    this.#underWay++
    let error: unknown
    try {
      await operation.run(this.#acting(client, planned, keys, callMs))
      this.succeeded++
    } catch (thrown) {
      error = thrown
      this.failed++
    }
    this.#underWay--
    this.#ended?.({ planned, callMs, tookMs: time.nowMs - callMs, error })
    const outcome = error === undefined ? 'done' : String((error as { code?: string }).code ?? error)
    time.trace.mark(time.nowMs, client.name, outcome)
    this.#world.tell(client.name, wire, () => `${planned.name}: ${outcome}`)
    checks.ended(wire, planned.name, callMs, operation.boundMs({ callMs: CALL_MS, loadMs: LOAD_MS }), error)
  }

  #acting(client: Client, planned: PlannedOperation, keys: readonly string[], callMs: number): Acting {
    const { checks, truth } = this.#world
    const { cache } = planned
    const kind: CacheKind = CACHES[cache]
    const seen = { client: client.name, ...seenBy(kind), callMs }
    const other = this.#world.members[(planned.client + 1 + Math.floor(planned.drawn * 3)) % this.#world.clients]!
    return {
      cache: client.caches.get(cache)!,
      store: client.stores.get(cache),
      keys,
      drawn: planned.drawn,
      make: (key, from) => truth.make(World.wireKey(cache, key), from),
      read: (key, value, more) => {
        const wire = World.wireKey(cache, key)
        this.#world.tell(client.name, wire, () => `read ${valueName(value?.id)} ${more?.outcome ?? ''} ${more?.node ?? ''}`)
        checks.read({ ...seen, key: wire, value, ...more })
      },
      wrote: (key, value) => checks.acknowledged({ ...seen, key: World.wireKey(cache, key), value }),
      touched: (key) => checks.touched(World.wireKey(cache, key)),
      session: () => client.tier.session(),
      readElsewhere: (key, token) => other.caches.get(cache)!.get(key, { session: other.tier.session(this.#world.handedOn(token)) }),
      sessionRead: (key, written, value) => checks.sessionRead(other.name, World.wireKey(cache, key), written, value),
      wait: (ms) => new Promise((resolve) => client.clock.after(ms, resolve)),
    }
  }

  /** Every client reads every key of every cache; the promises are judged as of any read. */
  async #readAll(judge?: (cache: CacheName, wire: string, value: Value | undefined) => void): Promise<void> {
    const { members, checks, time } = this.#world
    const reads: Promise<void>[] = []
    let ended = 0
    for (const client of members) {
      for (const [cache, kind] of Object.entries(CACHES) as [CacheName, CacheKind][]) {
        for (const key of this.#world.keysOf(cache)) {
          const wire = World.wireKey(cache, key)
          const callMs = time.nowMs
          const read = client.caches.get(cache)!.getWithOutcome(key)
          reads.push(
            read
              .finally(() => ended++)
              .then(
                ({ value, outcome, node }) => {
                  checks.read({ client: client.name, ...seenBy(kind), key: wire, value, outcome, node, callMs })
                  judge?.(cache, wire, value)
                },
                (error) => {
                  if (judge !== undefined) this.#violate('unhealed', wire, `${client.name} could not read it: ${error}`)
                },
              ),
          )
        }
      }
    }
    await this.#until(() => ended === reads.length, LOAD_MS + 2 * CALL_MS)
    if (ended < reads.length) this.#violate('hung', '', `${reads.length - ended} reads never ended`)
  }

  /** What was overtaken before the faults were healed is over: readers have the truth, or in a cache without a store nothing. */
  async #checkTruth(): Promise<void> {
    await this.#readAll((cache, wire, value) => {
      const order: string = CACHES[cache].order
      const truth = order === 'writers' ? undefined : this.#world.truth.current(wire).id
      if (value?.id !== truth) this.#violate('unhealed', wire, `${valueName(value?.id)} is read, and ${valueName(truth)} is true`)
    })
  }

  #violate(rule: Violation['rule'], key: string, what: string): void {
    const { violations, time } = this.#world
    violations.push({ rule, atMs: time.nowMs, key, what })
  }
}

function seenBy({ order, reads, writes, nearBytes }: CacheKind) {
  return { order, all: writes === 'all', quorum: reads === 'quorum', near: nearBytes !== undefined }
}
