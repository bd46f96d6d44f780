/**
 * Two processes that write behind over one cluster and one database, with a clock that stands still.
 */
import { kindOf } from '../../src/codec/envelope.ts'
import { StoreError } from '../../src/errors.ts'
import { type MemoryStore, memoryStore } from '../../src/store/memory-store.ts'
import type { Save, SaveStatus, Store, StoreCall } from '../../src/store/store.ts'
import { writeBehind } from '../../src/strategy/write-behind.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { cacheOn } from './cache-bench.ts'
import { MapCluster } from './map-cluster.ts'
import { MemoryJournal } from './memory-journal.ts'

export interface Cart {
  readonly n: number
}

/** A database that is away, refuses, or is slow when the test says so. */
export class Database implements Store<Cart> {
  readonly name = 'db'
  readonly versioned = true
  readonly remembersRemovals = true
  readonly rows: MemoryStore<Cart> = memoryStore<Cart>()
  readonly batches: (readonly string[])[] = []
  away = false
  /** The key of a row that is refused for good. */
  refused: string | undefined
  shardOf?: (key: string) => string
  prepare?: () => Promise<void>
  awayShard: string | undefined

  load(keys: readonly string[], call?: StoreCall) {
    return this.rows.load(keys, call)
  }

  async save(saves: readonly Save<Cart>[], call?: StoreCall): Promise<SaveStatus[]> {
    this.batches.push(saves.map(({ key }) => key))
    const error = new StoreError('connection refused')
    if (this.away) return saves.map(() => ({ state: 'failed', error }))
    return Promise.all(
      saves.map(async (save): Promise<SaveStatus> => {
        if (save.key === this.refused) return { state: 'failed', error: new StoreError('violates a check'), forGood: true }
        if (this.awayShard !== undefined && this.shardOf?.(save.key) === this.awayShard) return { state: 'failed', error }
        return (await this.rows.save([save], call))[0]!
      }),
    )
  }

  async remove(removals: Parameters<Store<Cart>['remove']>[0], call?: StoreCall): Promise<SaveStatus[]> {
    if (this.away) return removals.map(() => ({ state: 'failed', error: new StoreError('connection refused') }))
    return this.rows.remove(removals, call)
  }

  stats() {
    return this.rows.stats()
  }

  async row(key: string): Promise<number | undefined> {
    return (await this.rows.load([key])).rows.get(key)?.value.n
  }
}

export function fleet(journals = [new MemoryJournal(), new MemoryJournal()], database = new Database()) {
  const clock = new FakeClock()
  const cluster = new MapCluster(clock)
  const processOn = (journal: MemoryJournal, seed: number) =>
    cacheOn<Cart>({ strategy: writeBehind(database, { journal, flushAfter: 50 }), ttl: '10s', jitter: 0 }, cluster, clock, 'carts', seed)
  const [one, other] = journals.map((journal, nth) => processOn(journal, nth + 1))
  return { clock, cluster, database, journals, journal: journals[0]!, one: one!, other: other!, processOn }
}

/** What kind of entry lies under a key. */
export const kindOn = (cluster: MapCluster, key: string) => kindOf(cluster.entries.get(`rt:carts:${key}`)!.bytes)
