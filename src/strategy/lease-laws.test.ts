/**
 * The law of leases: however loads, fills, writes and deletes of several processes interleave, what lies on the nodes at rest is not older
 * than the row, and no read that began after a write was acknowledged answers with what was before it.
 *
 * The database is held: when it reads, when it answers and when the clock moves is drawn, as is who does what. The nodes are one, so that
 * no change is missed, and the processes' clocks differ. Entries are evicted only while no write is under way: a write that arrives after what overtook it was evicted is the
 * known price of eviction.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import type { Cache } from '../caches/cache.ts'
import type { Clock } from '../clock.ts'
import type { Decoded } from '../codec/codec.ts'
import { isEnvelope, kindOf } from '../codec/envelope.ts'
import { createCodec } from '../codec/envelope-codec.ts'
import type { Version } from '../entry.ts'
import type { Loaded, Removal, Save, SaveStatus, ShardStats, Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { writeThrough } from './write-through.ts'

const KEY = 'a'
const WIRE = 'rt:things:a'
const LOAD_MS = 500
/** Of the processes' clocks. */
const SKEWS_MS = [200, 0, -150]

/** One row, all the states that it was in, and calls that wait for the test. */
class HeldStore implements Store<number> {
  readonly name = 'held'
  readonly versioned: boolean
  /** In order; undefined where there was no row. */
  readonly states: (number | undefined)[] = [0]
  #version: Version = 1n
  /** What waits: each first reads or writes the row, then answers. */
  readonly waiting: { writes: boolean; step: () => boolean }[] = []

  readonly #clock: Clock

  constructor(versioned: boolean, clock: Clock) {
    this.versioned = versioned
    this.#clock = clock
  }

  get row(): number | undefined {
    return this.states.at(-1)
  }

  load(): Promise<Loaded<number>> {
    return this.#held(false, () => {
      const { row } = this
      const version = this.versioned ? this.#version : 0n
      return { rows: new Map(row === undefined ? [] : [[KEY, { value: row, version }]]) }
    })
  }

  save([save]: readonly Save<number>[]): Promise<SaveStatus[]> {
    return this.#held(true, () => this.#write(save!, save!.value))
  }

  remove([removal]: readonly Removal[]): Promise<SaveStatus[]> {
    return this.#held(true, () => this.#write(removal!, undefined))
  }

  stats(): readonly ShardStats[] {
    return []
  }

  #write({ floor }: Removal, value: number | undefined): SaveStatus[] {
    this.#version = this.#version + 1n > floor ? this.#version + 1n : floor
    this.states.push(value)
    return [{ state: 'saved', version: this.versioned ? this.#version : 0n }]
  }

  #held<T>(writes: boolean, work: () => T): Promise<T> {
    const answer = Promise.withResolvers<T>()
    let done: { readonly value: T } | undefined
    // The statement's own timeout: as long again as its caller waits.
    const untilMs = this.#clock.monotonic() + 2 * LOAD_MS
    const step = (): boolean => {
      if (done === undefined) {
        if (this.#clock.monotonic() >= untilMs) return true
        done = { value: work() }
        return false
      }
      answer.resolve(done.value)
      return true
    }
    this.waiting.push({ writes, step })
    return answer.promise
  }
}

type Command =
  | { readonly kind: 'get' | 'getMany' | 'refresh' | 'set' | 'delete'; readonly process: number }
  | { readonly kind: 'store'; readonly nth: number }
  | { readonly kind: 'evict' }
  | { readonly kind: 'advance'; readonly ms: number }

const process = fc.constantFrom(0, 0, 0, 1, 1, 2)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('get', 'get', 'get', 'getMany', 'refresh', 'set', 'delete', 'delete'), process }),
  },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('store'), nth: fc.constantFrom(0, 0, 0, 1, 1, 2) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'evict' }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance'), ms: fc.constantFrom(1, 5, 60, 450, 650) }) },
) as fc.Arbitrary<Command>

class World {
  readonly clock = new FakeClock()
  readonly cluster = new MapCluster(this.clock)
  readonly store: HeldStore
  readonly #caches: Cache<number>[]
  readonly #calls: Promise<unknown>[] = []
  /** Place among the row's states of the latest write that was acknowledged. */
  #acknowledged = 0
  #written = 0
  #writing = 0

  constructor(versioned: boolean) {
    this.store = new HeldStore(versioned, this.clock)
    const options = { strategy: writeThrough(this.store), ttl: '1h', grace: '1h', deadlines: { load: LOAD_MS } } as const
    this.#caches = SKEWS_MS.map((skewMs, nth) => {
      const clock = Object.assign(Object.create(this.clock), {
        now: () => this.clock.now() + skewMs,
        after: this.clock.after.bind(this.clock),
        soon: this.clock.soon.bind(this.clock),
      })
      clock.monotonic = () => this.clock.monotonic()
      return cacheOn<number>(options, this.cluster, clock, 'things', nth + 1).cache
    })
  }

  async run(command: Command): Promise<void> {
    if (command.kind === 'advance') await this.clock.advance(command.ms)
    else if (command.kind === 'store') this.#step(command.nth)
    else if (command.kind === 'evict') {
      if (this.#writing === 0) this.cluster.entries.delete(WIRE)
    } else if (command.kind === 'set' || command.kind === 'delete') this.#write(command.kind, this.#caches[command.process]!)
    else this.#read(command.kind, this.#caches[command.process]!)
    await settled()
  }

  /** Everything answers, and all that waited is done. */
  async rest(): Promise<void> {
    for (let left = 200; left > 0 && (this.store.waiting.length > 0 || this.clock.pendingTimers > 0); left--) {
      while (this.store.waiting.length > 0) this.#step(0)
      await this.clock.advance(60)
    }
    await Promise.all(this.#calls)
    assert.equal(this.clock.pendingTimers, 0)
  }

  #step(nth: number): void {
    const { waiting } = this.store
    const one = waiting[nth]
    if (one?.step() === true) waiting.splice(nth, 1)
  }

  #write(kind: 'set' | 'delete', cache: Cache<number>): void {
    const value = ++this.#written
    const before = this.store.states.length
    this.#writing++
    const written = (kind === 'set' ? cache.set(KEY, value) : cache.delete(KEY)).then(
      () => {
        // Of a delete it is not known which of the absences it was: the earliest since it began binds least.
        const at = kind === 'set' ? this.store.states.indexOf(value) : this.store.states.indexOf(undefined, before)
        this.#acknowledged = Math.max(this.#acknowledged, at)
        this.#writing--
      },
      // One that ran into its deadline may happen at any time from now on.
      () => {},
    )
    this.#calls.push(written)
  }

  #read(kind: 'get' | 'getMany' | 'refresh', cache: Cache<number>): void {
    const from = this.#acknowledged
    const reading =
      kind === 'get' ? cache.get(KEY) : (kind === 'getMany' ? cache.getMany([KEY]) : cache.refresh(KEY)).then((values) => values.get(KEY))
    this.#calls.push(
      reading.then(
        (value) => {
          const later = this.store.states.slice(from)
          assert.ok(later.includes(value), `${kind} answered ${value}, but since it began the row was ${later.join(', ')}`)
        },
        (error) => assert.equal(error.code, 'DEADLINE_EXCEEDED'),
      ),
    )
  }

  check(): void {
    const bytes = this.cluster.entries.get(WIRE)?.bytes
    if (bytes === undefined || !isEnvelope(bytes)) return
    const kind = kindOf(bytes)
    const held = createCodec<number>({}, 'things').decode(bytes)
    if (kind === 'negative') assert.equal(this.store.row, undefined)
    if (kind === 'value') assert.equal((held as Decoded<number>).value, this.store.row)
  }
}

for (const versioned of [true, false]) {
  test(`no interleaving of loads, fills, writes and deletes leaves or serves what is older, ${versioned ? 'with' : 'without'} row versions`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
        const world = new World(versioned)
        for (const each of commands) await world.run(each)
        await world.rest()
        world.check()
      }),
      { numRuns: 400, seed: 20_261_124 },
    )
  })
}
