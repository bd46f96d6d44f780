/**
 * What clients do, and with which caches, as two tables: adding an operation or a cache is adding an entry.
 *
 * An operation makes its call and tells the checks what it saw; whatever it throws is for its caller to judge.
 */
import type { Cache } from '../../src/caches/cache.ts'
import type { Session } from '../../src/session.ts'
import type { Store, StoreReader } from '../../src/store/store.ts'
import { cacheAside } from '../../src/strategy/cache-aside.ts'
import { readThrough } from '../../src/strategy/read-through.ts'
import type { StrategyChoice } from '../../src/strategy/strategy.ts'
import { writeAround } from '../../src/strategy/write-around.ts'
import { writeThrough } from '../../src/strategy/write-through.ts'
import type { Order, SeenRead } from './checks.ts'
import type { Value } from './truth.ts'

export interface CacheKind {
  readonly order: Order
  /** Whether the store's rows carry versions; undefined: there is no store. */
  readonly versioned: boolean | undefined
  readonly strategy: (store: Store<Value>) => StrategyChoice<Value>
  /** Whom its reads ask. Default: the first owner. */
  readonly reads?: 'quorum' | 'nearest'
  /** How many owners must have taken a write. Default: more than half. */
  readonly writes?: 'all'
  /** Bytes of its near cache. Default: it has none. */
  readonly nearBytes?: number
}

export const CACHES = {
  through: { order: 'rows', versioned: true, strategy: (store) => writeThrough(store) },
  around: { order: 'rows', versioned: true, strategy: (store) => writeAround(store) },
  aside: { order: 'writers', versioned: undefined, strategy: () => cacheAside() },
  polled: { order: 'writers', versioned: undefined, reads: 'quorum', strategy: () => cacheAside() },
  nearest: { order: 'writers', versioned: undefined, reads: 'nearest', writes: 'all', strategy: () => cacheAside() },
  reader: { order: 'clocks', versioned: false, strategy: (store: StoreReader<Value>) => readThrough(store) },
  quorum: { order: 'rows', versioned: true, reads: 'quorum', strategy: (store) => writeThrough(store) },
  near: { order: 'rows', versioned: true, nearBytes: 16_384, strategy: (store) => writeThrough(store) },
  plain: { order: 'clocks', versioned: false, strategy: (store) => writeThrough(store) },
} satisfies Readonly<Record<string, CacheKind>>

export type CacheName = keyof typeof CACHES

/** What an operation is given of its client. */
export interface Acting {
  readonly cache: Cache<Value>
  /** Of this client; undefined for a cache without one. */
  readonly store: Store<Value> | undefined
  readonly keys: readonly string[]
  /** Between 0 and 1. */
  readonly drawn: number
  readonly make: (key: string, from?: number | null) => Value
  readonly read: (key: string, value: Value | undefined, more?: Pick<SeenRead, 'outcome' | 'node' | 'anew'>) => void
  readonly wrote: (key: string, value: Value | undefined) => void
  /** The key's entry may live for a TTL from now. */
  readonly touched: (key: string) => void
  /** A session of this client; and what another client reads with its token. */
  readonly session: () => Session
  readonly readElsewhere: (key: string, token: string) => Promise<Value | undefined>
  /** The session's owner must see this write, or a later one. */
  readonly sessionRead: (key: string, written: Value, value: Value | undefined) => void
  /** Another's clock: of a loader, or of who writes past the cache. */
  readonly wait: (ms: number) => Promise<void>
}

export interface Operation {
  readonly weight: number
  readonly fits: (cache: CacheName, order: Order) => boolean
  /** What the call may take, ms, beside pauses; undefined where its tries alone are bounded. */
  readonly boundMs: (bounds: { readonly callMs: number; readonly loadMs: number }) => number | undefined
  readonly run: (acting: Acting) => Promise<void>
}

const always = (): boolean => true
const hasStore = (_: CacheName, order: Order): boolean => order !== 'writers'
const takesWrites = (cache: CacheName): boolean => cache !== 'reader'
const updates = (cache: CacheName, order: Order): boolean => order !== 'clocks' && takesWrites(cache)
/** Look-up, waiting for as long as another's lease may last, and load. */
const readMs = (bounds: { callMs: number; loadMs: number }): number => 3 * bounds.callMs + LEASE_MS + bounds.loadMs
/** Save and put; where an absence hid the row a look at it, a load, a save and a put again. Without a store three tries of a put at most. */
const writeMs = (bounds: { callMs: number; loadMs: number }): number => 3 * (bounds.loadMs + bounds.callMs)
const UPDATE_MS = 2_500
/** A load's deadline, and the time for its fill. */
const LEASE_MS = 1_100

export const OPERATIONS = {
  get: {
    weight: 40,
    fits: always,
    boundMs: readMs,
    run: async ({ cache, keys: [key], read }) => {
      const { value, outcome, node } = await cache.getWithOutcome(key!)
      read(key!, value, { outcome, node })
    },
  },
  getMany: {
    weight: 10,
    fits: always,
    boundMs: readMs,
    run: async ({ cache, keys, read }) => {
      const found = await cache.getMany(keys)
      for (const key of new Set(keys)) read(key, found.get(key))
    },
  },
  set: {
    weight: 14,
    fits: takesWrites,
    boundMs: writeMs,
    run: async ({ cache, keys: [key], make, wrote }) => {
      const value = make(key!)
      await cache.set(key!, value)
      wrote(key!, value)
    },
  },
  setMany: {
    weight: 4,
    fits: takesWrites,
    boundMs: writeMs,
    run: async ({ cache, keys, make, wrote }) => {
      const values = new Map([...new Set(keys)].map((key) => [key, make(key)]))
      for (const [key, result] of await cache.setMany(values)) if (result.ok) wrote(key, values.get(key))
    },
  },
  delete: {
    weight: 8,
    fits: takesWrites,
    boundMs: writeMs,
    run: async ({ cache, keys: [key], wrote }) => {
      await cache.delete(key!)
      wrote(key!, undefined)
    },
  },
  deleteMany: {
    weight: 2,
    fits: takesWrites,
    boundMs: writeMs,
    run: async ({ cache, keys, wrote }) => {
      for (const [key, result] of await cache.deleteMany(keys)) if (result.ok) wrote(key, undefined)
    },
  },
  update: {
    weight: 12,
    fits: updates,
    boundMs: () => UPDATE_MS,
    run: async ({ cache, keys: [key], make, wrote, wait, drawn }) => {
      const change = async (current: Value | undefined): Promise<Value> => {
        if (drawn < 0.5) await wait(drawn * 20)
        return make(key!, current?.id ?? null)
      }
      const value = await cache.update(key!, change, { deadline: UPDATE_MS })
      wrote(key!, value)
    },
  },
  getOrSet: {
    weight: 14,
    fits: (_, order) => order === 'writers',
    boundMs: readMs,
    run: async ({ cache, keys: [key], make, read, wait, drawn }) => {
      const value = await cache.getOrSet(key!, async () => {
        await wait(drawn * 60)
        return make(key!)
      })
      read(key!, value)
    },
  },
  touch: {
    weight: 6,
    fits: (_, order) => order === 'writers',
    boundMs: readMs,
    run: async ({ cache, keys: [key], touched }) => {
      // One that fails may have come about all the same.
      await cache.touch(key!).finally(() => touched(key!))
    },
  },
  /** One request writes, the next, in another process, reads what was written. */
  session: {
    weight: 8,
    fits: (cache, order) => order === 'rows' && takesWrites(cache),
    boundMs: (bounds) => writeMs(bounds) + 2 * readMs(bounds),
    run: async ({ cache, keys: [key], make, wrote, session, readElsewhere, sessionRead }) => {
      const own = session()
      const value = make(key!)
      await cache.set(key!, value, { session: own })
      wrote(key!, value)
      sessionRead(key!, value, await readElsewhere(key!, own.token()))
    },
  },
  refresh: {
    weight: 5,
    fits: hasStore,
    boundMs: readMs,
    run: async ({ cache, keys: [key], read }) => {
      const found = await cache.refresh(key!)
      read(key!, found.get(key!), { anew: true })
    },
  },
  /** Somebody changes the rows himself, and tells the cache afterwards. */
  writePast: {
    weight: 14,
    fits: (cache) => cache === 'reader',
    // The statement is nobody's call but its writer's.
    boundMs: () => undefined,
    run: async ({ cache, store, keys: [key], make, drawn }) => {
      const save = drawn < 0.7 ? { key: key!, value: make(key!), floor: 0n } : undefined
      if (save === undefined) await store!.remove([{ key: key!, floor: 0n }])
      else await store!.save([save])
      await cache.delete(key!)
    },
  },
} satisfies Readonly<Record<string, Operation>>

export type OperationName = keyof typeof OPERATIONS
