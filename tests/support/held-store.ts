/**
 * What tests of the guard before a database need: one that answers when it is told to, and what became of calls to it.
 */
import { OverloadError, type StoreError } from '../../src/errors.ts'
import { memoryStore } from '../../src/store/memory-store.ts'
import type { Loaded, Removal, Save, SaveStatus, Store, StoreCall } from '../../src/store/store.ts'

interface HeldCall {
  readonly keys: readonly string[]
  answer(): void
  fail(error: unknown): void
}

/** A database that answers when it is told to. `a…` and `b…` lie in different shards; it does not hear of aborts. */
export class HeldStore implements Store<number> {
  readonly name = 'held'
  readonly versioned = true
  readonly calls: HeldCall[] = []
  most = 0
  begun = 0
  shardOf?: (key: string) => string
  readonly #store = memoryStore<number>()

  load(keys: readonly string[]): Promise<Loaded<number>> {
    return this.#hold(keys, () => ({ rows: new Map(keys.map((key) => [key, { value: key.length, version: 1n }])) }))
  }

  save(saves: readonly Save<number>[]): Promise<SaveStatus[]> {
    return this.#hold(
      saves.map(({ key }) => key),
      () => saves.map(() => ({ state: 'saved', version: 1n })),
    )
  }

  remove(removals: readonly Removal[]): Promise<SaveStatus[]> {
    return this.#hold(
      removals.map(({ key }) => key),
      () => removals.map(() => ({ state: 'saved', version: 1n })),
    )
  }

  stats() {
    return this.#store.stats()
  }

  #hold<T>(keys: readonly string[], work: () => T): Promise<T> {
    this.begun++
    return new Promise<T>((resolve, reject) => {
      const over = () => this.calls.splice(this.calls.indexOf(call), 1)
      const call: HeldCall = {
        keys,
        answer: () => {
          over()
          resolve(work())
        },
        fail: (error) => {
          over()
          reject(error)
        },
      }
      this.calls.push(call)
      this.most = Math.max(this.most, this.calls.length)
    })
  }
}

/** Two databases by the first letter of a key. */
export function twoShards(): HeldStore {
  const store = new HeldStore()
  store.shardOf = (key) => key[0]!
  return store
}

export const failing = (error: unknown): Store<number> => ({
  ...memoryStore<number>(),
  name: 'failing',
  versioned: true,
  ...failingCalls(error),
})
const failingCalls = (error: unknown) => ({
  load: () => Promise.reject(error),
  save: async (saves: readonly unknown[]) => saves.map((): SaveStatus => ({ state: 'failed', error: error as StoreError })),
  remove: async (removals: readonly unknown[]) => removals.map((): SaveStatus => ({ state: 'unknown', error: error as StoreError })),
  stats: () => [],
})

/** What a promise came to, once it is settled. */
export function outcomeOf(promise: Promise<unknown>): { value?: unknown; error?: unknown } {
  const outcome: { value?: unknown; error?: unknown } = {}
  promise.then(
    (value) => {
      outcome.value = value
    },
    (error) => {
      outcome.error = error
    },
  )
  return outcome
}

/** Saves are not gathered: each has its own place in line. */
export const save = (store: Store<number>, key: string, call?: StoreCall) => store.save([{ key, value: 1, floor: 1n }], call)
export const codeOfSave = ({ value }: { value?: unknown }) => {
  const status = (value as SaveStatus[] | undefined)?.[0]
  return status?.state === 'failed' && status.error instanceof OverloadError ? status.error.reason : status?.state
}
export const codeOf = (outcome: { error?: unknown }) => {
  const { error } = outcome
  return error instanceof OverloadError ? error.reason : (error as { code?: string } | undefined)?.code
}

export const guardOf = (store: Store<number>) => guardStats(store)!
const guardStats = (store: Store<number>) => store.stats()[0]?.guard

export async function settledOf(promise: Promise<unknown>): Promise<{ value?: unknown; error?: unknown }> {
  const outcome = outcomeOf(promise)
  await promise.catch(() => {})
  return outcome
}
