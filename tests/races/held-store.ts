/**
 * A store that can be held at the worst moments: between what the database answered and what the cache then does with it.
 *
 * Loads are held after their rows were read, saves and removals after they were committed; meanwhile others may change the same row. Whoever
 * wraps a store says when it is held and for how long.
 */
import type { SaveStatus, Store, StoreReader } from '../../src/index.ts'

/** `load`: between the read of a row and the fill. `save`: between the commit and the put. */
export type HoldPoint = 'load' | 'save'

export interface StoreWatch {
  /** What it returns is waited for before the store answers. */
  hold(point: HoldPoint, keys: readonly string[]): Promise<void> | undefined
  /**
   * Told of the version that a row of this value, or a removal, has got. Not of a removal that found no row: others may have been making one, and
   * which came first no version tells.
   */
  versioned?(version: bigint, by: 'save' | 'remove', value: unknown): void
}

export function heldReader<V>(reader: StoreReader<V>, watch: StoreWatch): StoreReader<V> {
  return {
    name: reader.name,
    stats: () => reader.stats(),
    async load(keys, call) {
      const loaded = await reader.load(keys, call)
      await watch.hold('load', keys)
      return loaded
    },
  }
}

export function heldStore<V>(store: Store<V>, watch: StoreWatch): Store<V> {
  const done = async (
    by: 'save' | 'remove',
    items: readonly { readonly key: string; readonly value?: V }[],
    statuses: SaveStatus[],
  ): Promise<SaveStatus[]> => {
    const saved: string[] = []
    for (const [at, status] of statuses.entries()) {
      if (status.state !== 'saved') continue
      saved.push(items[at]!.key)
      if (status.absent !== true) watch.versioned?.(status.version, by, items[at]!.value)
    }
    if (saved.length > 0) await watch.hold('save', saved)
    return statuses
  }
  return {
    ...heldReader(store, watch),
    versioned: store.versioned,
    save: async (saves, call) => done('save', saves, await store.save(saves, call)),
    remove: async (removals, call) => done('remove', removals, await store.remove(removals, call)),
  }
}
