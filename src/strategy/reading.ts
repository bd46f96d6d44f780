/**
 * How every strategy reads: serve what is fresh, serve what is stale and refresh it behind the caller, load what is missing.
 *
 * The strategies differ in how they write; they share this. A cluster that cannot answer is passed by: the store is asked, through the
 * same single flight, and the tier is told.
 */
import { RingtailError, UnavailableError } from '../errors.ts'
import type { Found } from '../keyspace.ts'
import type { StoreReader } from '../store/store.ts'
import { Loads } from './loads.ts'
import type { Read, ReadCall, Settled, StoreCounts, StrategyParts } from './strategy.ts'

export class Reading<V> {
  readonly loads: Loads<V>
  readonly #parts: StrategyParts<V>
  readonly #reader: StoreReader<V> | undefined

  /** @param ordered whether rows carry versions by which the cache can order them */
  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined, ordered: boolean) {
    this.#parts = parts
    this.#reader = reader
    this.loads = new Loads(parts, reader, ordered)
  }

  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    const found = (found: Found<V>): void => {
      if (found.state === 'fresh' && !found.negative) settle(found)
      else this.#resolveOne(key, found, call).then(settle, fail)
    }
    this.#parts.keyspace.find(key, found, fail, call)
  }

  async readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    const found = await this.#parts.keyspace.findMany(keys, call)
    // All resolutions start in one turn, so that what is missing makes one load.
    return Promise.all(
      found.map(async (each, at): Promise<Settled<Read<V>>> => {
        try {
          return { value: await this.#resolve(keys[at]!, each, call) }
        } catch (thrown) {
          return { error: thrown as Error }
        }
      }),
    )
  }

  async refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]> {
    // What lies there now is what the fill has to take the place of.
    const found = await this.#parts.keyspace.findMany(keys, call)
    return Promise.all(
      keys.map(async (key, at): Promise<Settled<V | undefined>> => {
        try {
          return { value: await this.loads.refresh(key, found[at]!.seen, call?.loader, call?.times) }
        } catch (thrown) {
          return { error: thrown as Error }
        }
      }),
    )
  }

  storeCounts(): StoreCounts | undefined {
    if (this.#reader === undefined) return undefined
    return { queries: this.loads.queries, keysLoaded: this.loads.keysLoaded, shards: this.#reader.stats() }
  }

  async #resolveOne(key: string, found: Found<V>, call: ReadCall<V> | undefined): Promise<Read<V>> {
    return this.#resolve(key, found, call)
  }

  #resolve(key: string, found: Found<V>, call: ReadCall<V> | undefined): Read<V> | Promise<Read<V>> {
    const loader = call?.loader
    // A caller's own loader may know what the store does not.
    if (found.state === 'fresh' && !(found.negative && loader !== undefined)) return found
    if (loader === undefined && this.#reader === undefined) {
      if (found.state === 'unreachable') throw found.failure ?? new UnavailableError(`no owner of the key answered`)
      return found
    }
    if (found.state === 'stale') {
      // Behind the caller. What fails is told by the load itself; the stale value was the answer.
      this.loads.load(key, found.seen, loader, call?.times).catch(ignore)
      return found
    }
    if (found.state === 'unreachable') this.#parts.bypassed('read', reasonOf(found.failure))
    return this.loads.load(key, found.seen, loader, call?.times).then((value) => ({
      state: found.state,
      negative: value === undefined,
      value,
      node: found.node,
    }))
  }
}

function ignore(): void {}

function reasonOf(failure: RingtailError | undefined): string {
  return failure instanceof RingtailError ? failure.message : 'no owner answered'
}
