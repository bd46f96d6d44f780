/**
 * How a cache reads: from the near cache where that has it, else through the strategy; each outcome reported once, and kept near if it may be.
 */
import { boundedCall, type CallBounds } from '../bounded-call.ts'
import type { Clock } from '../clock.ts'
import { asError } from '../errors.ts'
import type { Outcome, Outcomes } from '../metrics/outcomes.ts'
import type { NearEntry, Reading } from '../near/near-cache.ts'
import type { NearLayer } from '../near/near-layer.ts'
import type { Loader, Read, Settled, Strategy } from '../strategy/strategy.ts'
import { type Admitting, CacheAdmission } from './cache-admission.ts'
import { type Call, parts } from './cache-calls.ts'

export interface CacheReadsParts<V> {
  readonly strategy: Strategy<V>
  readonly outcomes: Outcomes
  readonly clock: Clock
  readonly near?: NearLayer<V> | undefined
  /** Default: every call is taken. */
  readonly admitting?: Admitting | undefined
}

export class CacheReads<V> {
  readonly #strategy: Strategy<V>
  readonly #outcomes: Outcomes
  readonly #clock: Clock
  readonly #near: NearLayer<V> | undefined
  readonly #what: string
  /** Changes go through it as well. */
  readonly admission: CacheAdmission

  /** @param what for messages: `cache 'product'` */
  constructor(parts: CacheReadsParts<V>, what: string) {
    this.#strategy = parts.strategy
    this.#outcomes = parts.outcomes
    this.#clock = parts.clock
    this.#near = parts.near
    this.#what = what
    this.admission = new CacheAdmission(parts, what)
  }

  /** The hot path: no options, one promise. */
  get(key: string): Promise<V | undefined> {
    const near = this.#near?.find(key)
    if (near !== undefined && !this.admission.ended) {
      this.#outcomes.recordNear(near.negative)
      return answer(near.value())
    }
    const { admission } = this
    if (admission.closed) return admission.refuseReads(1)
    admission.begin()
    return new Promise((resolve, reject) => {
      const startMs = this.#clock.monotonic()
      let reading: Reading | undefined
      const settle = (read: Read<V>): void => {
        admission.over()
        if (reading !== undefined) this.#near!.keep(key, reading, read)
        this.#outcomes.record(outcomeOf(read), read.node, this.#clock.monotonic() - startMs)
        resolve(read.value)
      }
      const fail = (error: unknown): void => {
        admission.over()
        this.#outcomes.record('error', undefined, this.#clock.monotonic() - startMs)
        reject(error)
      }
      try {
        reading = this.#near?.reading(key)
        this.#strategy.read(key, settle, fail)
      } catch (thrown) {
        fail(thrown)
      }
    })
  }

  peek(key: string): V | undefined {
    const near = this.#near?.find(key)
    if (near === undefined || this.admission.ended) return undefined
    this.#outcomes.recordNear(near.negative)
    return near.value()
  }

  async one(key: string, loader: Loader<V> | undefined, call: Call | undefined): Promise<Read<V>> {
    const near = this.#nearFor(key, loader, call)
    if (near !== undefined) {
      this.#outcomes.recordNear(near.negative)
      return { state: 'fresh', negative: near.negative, value: near.value(), node: undefined, entry: undefined, sizeBytes: 0 }
    }
    if (this.admission.closed) return this.admission.refuseReads(1)
    this.admission.begin()
    const startMs = this.#clock.monotonic()
    const work = () => new Promise<Read<V>>((resolve, reject) => this.#strategy.read(key, resolve, reject, { ...call, loader }))
    try {
      const reading = this.#near?.reading(key)
      const read = await this.#bounded(work, call)
      if (reading !== undefined) this.#near!.keep(key, reading, read)
      this.#outcomes.record(outcomeOf(read), read.node, this.#clock.monotonic() - startMs)
      return read
    } catch (error) {
      this.#outcomes.record('error', undefined, this.#clock.monotonic() - startMs)
      throw error
    } finally {
      this.admission.over()
    }
  }

  /** @param keys each once. Rejects with the first error, once every key has been tried. */
  async many(keys: readonly string[], loader: Loader<V> | undefined, call: Call | undefined): Promise<Map<string, V>> {
    const values = new Map<string, V>()
    const far = this.#near === undefined ? keys : keys.filter((key) => !this.#takeNear(key, loader, call, values))
    if (far.length === 0) return values
    if (this.admission.closed) return this.admission.refuseReads(far.length)
    this.admission.begin()
    try {
      return await this.#farMany(far, values, loader, call)
    } finally {
      this.admission.over()
    }
  }

  async #farMany(
    keys: readonly string[],
    values: Map<string, V>,
    loader: Loader<V> | undefined,
    call: Call | undefined,
  ): Promise<Map<string, V>> {
    let failure: { readonly error: unknown } | undefined
    for (const part of parts(keys)) {
      const startMs = this.#clock.monotonic()
      const near = this.#near
      const readings = near === undefined ? undefined : part.map((key) => near.reading(key))
      const settled = await settledPart(part.length, () => this.#bounded(() => this.#strategy.readMany(part, { ...call, loader }), call))
      const ms = this.#clock.monotonic() - startMs
      for (let at = 0; at < part.length; at++) {
        const each = settled[at]!
        if ('error' in each) {
          failure ??= each
          this.#outcomes.record('error', undefined, ms)
          continue
        }
        const read = each.value
        const reading = readings?.[at]
        if (reading !== undefined) near!.keep(part[at]!, reading, read)
        this.#outcomes.record(outcomeOf(read), read.node, ms)
        if (read.value !== undefined) values.set(part[at]!, read.value)
      }
    }
    if (failure !== undefined) throw failure.error
    return values
  }

  /** @returns whether the near cache had the key */
  #takeNear(key: string, loader: Loader<V> | undefined, call: Call | undefined, values: Map<string, V>): boolean {
    const near = this.#nearFor(key, loader, call)
    if (near === undefined) return false
    this.#outcomes.recordNear(near.negative)
    const value = near.value()
    if (value !== undefined) values.set(key, value)
    return true
  }

  /** A call that names whom to ask wants them asked. */
  #nearFor(key: string, loader: Loader<V> | undefined, call: Call | undefined): NearEntry<V> | undefined {
    return call?.read === undefined && !this.admission.ended ? this.#near?.findFor(key, call?.session, loader !== undefined) : undefined
  }

  #bounded<T>(work: () => Promise<T>, bounds: CallBounds | undefined): Promise<T> {
    return boundedCall(work, bounds, this.#clock, this.#what, this.admission.left)
  }
}

/** An async function, for its promise is made inline and that of `Promise.resolve` is not. */
async function answer<T>(value: T): Promise<T> {
  return value
}

/** One part of a batch; a failure of the whole is that of each of its keys. */
export async function settledPart<T>(count: number, work: () => Promise<Settled<T>[]>): Promise<Settled<T>[]> {
  try {
    return await work()
  } catch (thrown) {
    return Array.from({ length: count }, () => ({ error: asError(thrown) }))
  }
}

export function outcomeOf(read: Pick<Read<unknown>, 'state' | 'negative'>): Exclude<Outcome, 'error'> {
  if (read.state === 'fresh') return read.negative ? 'negative' : 'hit'
  return read.state === 'stale' ? 'stale' : 'miss'
}
