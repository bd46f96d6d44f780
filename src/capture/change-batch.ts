/**
 * Changes of several transactions gathered into one call a cache, as far as that comes to the same as one by one.
 *
 * Of several updates of a row the last says it all. Anything else that meets a change of the same key ends the batch: what a removal and a
 * row made again leave depends on which came first. So does the emptying of a table.
 */
import { asError } from '../errors.ts'
import type { RowChange } from '../strategy/strategy.ts'
import type { CapturedCache } from './capture.ts'
import type { CapturedChange } from './captured-table.ts'
import type { OwedKeys } from './owed-keys.ts'

/** Keys and tags of one batch. */
const MAX_CHANGES = 512

interface OfCache {
  readonly changes: Map<string, RowChange<unknown>>
  readonly tags: Set<string>
}

export class ChangeBatch {
  readonly #caches = new Map<CapturedCache, OfCache>()
  #size = 0

  get isFull(): boolean {
    return this.#size >= MAX_CHANGES
  }

  /** @returns whether it was taken: else the batch has to be told first */
  take({ cache, changes, tags }: CapturedChange): boolean {
    const held = this.#caches.get(cache)
    if (held !== undefined && changes.some((change) => !follows(change, held.changes.get(change.key)))) return false
    const into = held ?? { changes: new Map(), tags: new Set() }
    if (held === undefined) this.#caches.set(cache, into)
    for (const change of changes) into.changes.set(change.key, change)
    for (const tag of tags) into.tags.add(tag)
    this.#size += changes.length + tags.length
    return true
  }

  /**
   * Tells the caches, each change to all owners of its key: readers ask the first, which need not be among a quorum. While some node is owed
   * others, it is not waited for. @throws when some change was not acknowledged at the cache's own level: then all of it is to be told again
   */
  async tell(owed: Pick<OwedKeys, 'size' | 'add'>): Promise<void> {
    await Promise.all(
      Array.from(this.#caches, async ([cache, { changes, tags }]) => {
        if (tags.size > 0) await cache.deleteByTag([...tags])
        if (changes.size === 0) return
        const all = [...changes.values()] as unknown as readonly RowChange<never>[]
        const missed = owed.size > 0 ? all : (await refused(cache, all, { writes: 'all' })).changes
        if (missed.length === 0) return
        const { error } = await refused(cache, missed)
        if (error !== undefined) throw error
        owed.add(
          cache,
          missed.map(({ key }) => key),
        )
      }),
    )
  }
}

/** Applies changes. @returns those that were not acknowledged, with why the first was not */
async function refused(
  cache: CapturedCache,
  changes: readonly RowChange<never>[],
  options?: { readonly writes: 'all' },
): Promise<{ readonly changes: readonly RowChange<never>[]; readonly error: Error | undefined }> {
  const results = await cache.applyChanges(changes, options)
  const failed = changes.filter(({ key }) => results.get(key)?.ok === false)
  return { changes: failed, error: failed.length === 0 ? undefined : asError(results.get(failed[0]!.key)!.error) }
}

function follows(change: RowChange<unknown>, before: RowChange<unknown> | undefined): boolean {
  if (before === undefined) return true
  return change.op === 'update' && before.op === 'update' && change.rising === before.rising
}
