/**
 * What a plan foretells of the database is held against what a change then does to it: a fleet under one fake clock, over one store.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CacheOptions, type ChangeProgress, memoryStore, readThrough, ringPlanText, type StoreReader } from '../src/index.ts'
import { seededRandom } from '../src/testing/index.ts'
import { RingFleet } from './support/ring-fleet.ts'

const KEYS = 600
const STEP_MS = 20
const keyOf = (nth: number): string => `k${nth}`

/** Two processes that read at random, 100 keys a second together, from one store. */
class ReadFleet {
  readonly fleet: RingFleet
  readonly #readers: RingFleet['processes']
  readonly #store
  readonly #random = seededRandom(7)
  readonly #underWay = new Set<Promise<unknown>>()
  /** When the store was asked, by the fleet's clock, ms. */
  readonly loadedAtMs: number[] = []

  private constructor(fleet: RingFleet, store: ReturnType<typeof storeOf>) {
    this.fleet = fleet
    this.#readers = [...fleet.processes]
    this.#store = store
    store.asked = () => this.loadedAtMs.push(fleet.clock.monotonic())
  }

  static async start(cache: Partial<CacheOptions<unknown>>): Promise<ReadFleet> {
    const store = storeOf()
    const fleet = await RingFleet.start({ cache: { strategy: readThrough(store.reader), ...cache } })
    const reading = new ReadFleet(fleet, store)
    for (let nth = 0; nth < KEYS; nth++) await fleet.until(fleet.processes[nth % 2]!.cache.get(keyOf(nth)), 0)
    await fleet.clock.advance(1_000)
    return reading
  }

  /** To be called between two steps of the clock. */
  readonly step = (): void => {
    for (const { cache } of this.#readers) {
      const work = cache.get(keyOf(Math.floor(this.#random() * KEYS)))
      this.#underWay.add(work)
      void work.finally(() => this.#underWay.delete(work))
    }
  }

  /** Moves time on under load until it is settled. */
  under<T>(work: Promise<T>): Promise<T> {
    return this.fleet.until(work, STEP_MS, this.step)
  }

  async readFor(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) {
      await this.fleet.clock.advance(STEP_MS)
      this.step()
    }
  }

  loadsBetween(fromMs: number, toMs: number): number {
    return this.loadedAtMs.filter((atMs) => atMs >= fromMs && atMs < toMs).length
  }

  get nowMs(): number {
    return this.fleet.clock.monotonic()
  }

  async end(): Promise<void> {
    await this.fleet.until(Promise.all(this.#underWay))
    await this.fleet.close()
    this.#store.asked = () => {}
    assert.equal(this.fleet.clock.pendingTimers, 0)
  }
}

/** A store that has every key, and says when it is asked for one. */
function storeOf() {
  const store = memoryStore<unknown>({ rows: Array.from({ length: KEYS }, (_, nth) => [keyOf(nth), nth]) })
  const told = { asked: () => {} }
  const reader: StoreReader<unknown> = {
    name: 'memory',
    stats: () => store.stats(),
    load: (keys, call) => {
      for (const _ of keys) told.asked()
      return store.load(keys, call)
    },
  }
  return Object.assign(told, { reader })
}

/** Three standard errors of the difference of two counts, each over its time, in counts a second. */
function errorOf(seen: number, seenMs: number, found: number, foundMs: number): number {
  return 3 * Math.hypot(Math.sqrt(seen) / (seenMs / 1_000), Math.sqrt(found) / (foundMs / 1_000))
}

function assertNear(found: number, expected: number, error: number, what: string): void {
  assert.ok(
    Math.abs(found - expected) <= error,
    `${what}: ${expected.toFixed(2)} expected, ${found.toFixed(2)} found, ± ${error.toFixed(2)}`,
  )
}

test('while the ring changes and after it the database is asked for what the plan foretold', async () => {
  const reading = await ReadFleet.start({ ttl: '30s' })
  const { fleet } = reading
  const [a] = fleet.processes
  await reading.readFor(60_000)
  const change = { add: [a!.way('n5')], weights: { n3: 1.5 } }
  const plan = await reading.under(a!.tier.planRingChange(change, { measureFor: '60s', rate: 400 }))
  const { ofThisProcess: own, ofAllProcesses: all } = plan.database
  const startMs = reading.nowMs
  let switchedMs = 0
  a!.tier.on('topology:changed', ({ phase }) => {
    if (phase === 'switched') switchedMs = reading.nowMs
  })
  const report = await reading.under(a!.tier.changeRing(change, { rate: 400 }))

  // Both processes read the same, so that the store is asked for twice as much as by one, with twice the error.
  const spans = [
    ['while copying', own!.copying, startMs, switchedMs],
    ['right after the switch', own!.switched, switchedMs, switchedMs + 4_000],
  ] as const
  for (const [what, { loadsPerSecond }, fromMs, toMs] of spans) {
    const found = reading.loadsBetween(fromMs, toMs)
    const error = errorOf(4 * own!.loadsSeen, own!.measuredMs, found, toMs - fromMs)
    assertNear((found * 1_000) / (toMs - fromMs), 2 * loadsPerSecond, error, what)
    // It would be seen if nothing were copied.
    assert.ok(own!.withoutCopying.loadsPerSecond > loadsPerSecond + 2)
  }
  assert.ok(own!.loadsSeen > 200 && own!.hitsSeen > 200)
  assert.equal(own!.copying.timesNow, 1)
  assert.ok(own!.withoutCopying.timesNow! > 1.2)
  assert.ok(own!.atMost.loadsPerSecond > own!.switched.loadsPerSecond)

  // The nodes count lookups, from which loads are had to within a sixth.
  assertNear(all!.now.loadsPerSecond, 2 * own!.now.loadsPerSecond, own!.now.loadsPerSecond / 3, 'by the nodes')

  for (const [step, ms] of Object.entries(report.tookMs)) {
    const expectedMs = plan.expectedMs[step as ChangeProgress['step']]
    assertNear(ms, expectedMs, expectedMs / 5 + 200, step)
  }
  await reading.end()
})

test('what is not copied is loaded as often, and in all as many times, as the plan foretold', async () => {
  const reading = await ReadFleet.start({ ttl: '10h', keys: 'plain' })
  const { fleet } = reading
  const [a] = fleet.processes
  const change = { add: [a!.way('n5')] }
  const plan = await reading.under(a!.tier.planRingChange(change, { measureFor: '20s' }))
  const { ofThisProcess: own, ofAllProcesses: all } = plan.database
  let switchingMs = 0
  const onProgress = ({ step }: ChangeProgress): void => {
    if (step === 'switching' && switchingMs === 0) switchingMs = reading.nowMs
  }
  const startMs = reading.nowMs
  await reading.under(a!.tier.changeRing(change, { onProgress }))
  await reading.readFor(60_000)

  assert.deepEqual([own!.now.loadsPerSecond, own!.switched.timesNow], [0, undefined])
  assert.equal(reading.loadsBetween(startMs, switchingMs), 0)
  const moved = reading.loadsBetween(switchingMs, Number.POSITIVE_INFINITY)
  assert.equal(plan.keysNotCopied, plan.loadsWithoutCopying)
  assertNear(moved, plan.keysNotCopied, 4 * Math.sqrt(plan.keysNotCopied), 'loads in all')
  // In the first two seconds a sixth of all reads is of keys that were loaded just now.
  const firstMs = reading.loadedAtMs.find((atMs) => atMs >= switchingMs)!
  const found = reading.loadsBetween(firstMs, firstMs + 2_000)
  const expected = all!.switched.loadsPerSecond
  assertNear(found / 2, expected, 2 * Math.sqrt(found) + expected / 6, 'right after the switch')
  assertNear(2 * own!.switched.loadsPerSecond, expected, expected / 6, 'by one of two processes')
  assert.equal(own!.switched.loadsPerSecond, own!.withoutCopying.loadsPerSecond)
  await reading.end()
})

test('a process that serves nothing learns from the nodes what the database is asked for', async () => {
  const reading = await ReadFleet.start({ ttl: '6s' })
  const { fleet } = reading
  const operator = await fleet.join(['n1', 'n2', 'n3', 'n4'])
  await reading.readFor(10_000)
  const plan = await reading.under(operator.tier.planRingChange({ remove: ['n1'] }, { measureFor: '10s' }))
  const { ofThisProcess, ofAllProcesses } = plan.database
  assert.equal(ofThisProcess, undefined)
  const found = reading.loadsBetween(reading.nowMs - 10_000, reading.nowMs) / 10
  assertNear(ofAllProcesses!.now.loadsPerSecond, found, found / 6, 'loads a second')
  assert.match(ringPlanText(plan), /by what all processes ask of the nodes \(in 10 s/)
  assert.match(ringPlanText(plan), /by what this process reads: not known/)
  await reading.end()
})

test('where nothing was read or measured, the plan says that it does not know', async () => {
  const reading = await ReadFleet.start({ ttl: '6s' })
  const { fleet } = reading
  const { tier } = fleet.processes[0]!
  const quiet = await fleet.until(tier.planRingChange({ remove: ['n1'] }))
  assert.deepEqual(quiet.database, { ofThisProcess: undefined, ofAllProcesses: undefined })
  assert.equal(ringPlanText(quiet).match(/not known, for nothing was read/g)!.length, 2)
  reading.step()
  const startMs = reading.nowMs
  const unmeasured = await fleet.until(tier.planRingChange({ remove: ['n1'] }, { measureFor: 0 }), 0, reading.step)
  assert.equal(reading.nowMs, startMs)
  assert.deepEqual(unmeasured.database, quiet.database)
  await reading.end()
})

test('options of a plan are checked, and a tier that closes ends its measuring', async () => {
  const { fleet, end } = await ReadFleet.start({ ttl: '6s' }).then((reading) => ({ fleet: reading.fleet, end: () => reading.end() }))
  const { tier } = fleet.processes[0]!
  const change = { remove: ['n1'] }
  for (const wrong of [{ measureFor: '2h' }, { measureFor: -1 }, { rate: 0 }, { speed: 1 }])
    await assert.rejects(fleet.until(tier.planRingChange(change, wrong as never)), { code: 'CONFIGURATION' })
  const measuring = assert.rejects(tier.planRingChange(change, { measureFor: '1h' }), { code: 'CLOSED' })
  await fleet.clock.advance(1_000)
  await end()
  await measuring
})
