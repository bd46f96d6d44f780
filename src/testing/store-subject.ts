/**
 * One store in one test of the conformance suite: fresh, in the words of the laws, and cleaned up whatever happens.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Version } from '../entry.ts'
import { RingtailError } from '../errors.ts'
import type { SaveStatus, Store } from '../store/store.ts'

export interface StoreUnderTest<V> {
  /** Without any rows. */
  readonly store: Store<V>
  cleanup(): Promise<void>
}

export interface StoreConformance<V> {
  readonly name: string
  readonly versioned: boolean
  /** Default: false. */
  readonly remembersRemovals?: boolean | undefined
  create(): Promise<StoreUnderTest<V>>
  /** Puts any JSON datum into a value of the store's shape. Default: the datum is the value. */
  readonly wrap?: (datum: unknown) => V
}

/** Stands for `wrap` and the store in one test. */
export class Subject<V> {
  readonly store: Store<V>
  readonly wrap: (datum: unknown) => V

  constructor(store: Store<V>, wrap: (datum: unknown) => V) {
    this.store = store
    this.wrap = wrap
  }

  async save(key: string, datum: unknown, floor: Version = 1n, expected?: Version): Promise<SaveStatus> {
    const [status] = await this.store.save([{ key, value: this.wrap(datum), floor, expected }])
    return status!
  }

  async remove(key: string, floor: Version = 1n): Promise<SaveStatus> {
    const [status] = await this.store.remove([{ key, floor }])
    return status!
  }

  /** Under just its version, and only over what is older. */
  async saveOlder(key: string, datum: unknown, floor: Version): Promise<SaveStatus> {
    const [status] = await this.store.save([{ key, value: this.wrap(datum), floor, ifOlder: true }])
    return status!
  }

  async removeOlder(key: string, floor: Version): Promise<SaveStatus> {
    const [status] = await this.store.remove([{ key, floor, ifOlder: true }])
    return status!
  }

  async load(key: string) {
    const { rows, failed } = await this.store.load([key])
    assert.equal(failed?.size ?? 0, 0)
    return rows.get(key)
  }

  async holds(key: string, datum: unknown): Promise<void> {
    assert.deepEqual((await this.load(key))?.value, this.wrap(datum))
  }
}

export function law<V>(suite: StoreConformance<V>, name: string, check: (subject: Subject<V>) => Promise<void>): void {
  test(name, async () => {
    const { store, cleanup } = await suite.create()
    try {
      assert.equal(store.versioned, suite.versioned)
      assert.equal(store.remembersRemovals ?? false, suite.remembersRemovals ?? false)
      await check(new Subject(store, suite.wrap ?? ((datum) => datum as V)))
    } finally {
      await cleanup()
    }
  })
}

/** @returns the version that was saved */
export function saved(status: SaveStatus | undefined): Version {
  assert.equal(status?.state, 'saved', status !== undefined && 'error' in status ? status.error.message : undefined)
  return (status as { version: Version }).version
}

export function refused(status: SaveStatus, isThere: boolean): void {
  assert.equal(status.state, 'failed')
  assert.ok(status.state === 'failed' && status.error instanceof RingtailError)
  assert.equal(isThere, false)
}
