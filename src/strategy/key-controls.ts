/**
 * What a loader has said of one key's value while it loaded it: how long it lives, what groups it belongs to, that it is not to be kept, or
 * that the load failed.
 */
import { LoadError } from '../errors.ts'
import type { PutTimes } from '../keyspaces/keyspace.ts'
import { checkedTags, type Duration, durationMs } from '../options.ts'
import type { LoadControls } from './strategy.ts'

export class KeyControls<V> implements LoadControls<V> {
  readonly #what: string
  readonly stale: V | undefined
  #times: PutTimes | undefined
  #tags: readonly string[] | undefined
  #skipped = false
  #failure: LoadError | undefined

  constructor(stale: V | undefined, times: PutTimes | undefined, tags: readonly string[] | undefined, what: string) {
    this.stale = stale
    this.#times = times
    this.#tags = tags
    this.#what = what
  }

  setTtl(ttl: Duration, grace?: Duration): void {
    const ttlMs = Math.max(1, durationMs(ttl, `${this.#what}: setTtl`))
    const graceMs = grace === undefined ? this.#times?.graceMs : durationMs(grace, `${this.#what}: setTtl: grace`)
    this.#times = { ttlMs, graceMs }
  }

  setTags(tags: readonly string[]): void {
    this.#tags = [...checkedTags(tags, `${this.#what}: setTags`)]
  }

  skip<T = undefined>(value?: T): T {
    this.#skipped = true
    return value as T
  }

  fail(reason: string): LoadError {
    this.#failure = new LoadError(`${this.#what}: ${reason}`)
    return this.#failure
  }

  get times(): PutTimes | undefined {
    return this.#times
  }

  get tags(): readonly string[] | undefined {
    return this.#tags
  }

  get skipped(): boolean {
    return this.#skipped
  }

  get failure(): LoadError | undefined {
    return this.#failure
  }
}
