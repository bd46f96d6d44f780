/**
 * A part of a cache: the keys that begin with one name, as a cache of their own that can be cleared alone.
 *
 * A namespace keeps nothing. It puts its name before each key and takes it off again; that a key belongs to a namespace is read from the
 * key itself, so that every process, and whoever uses the whole key, agrees.
 */

import type { CallOptions } from '../options.ts'
import {
  type DeleteOptions,
  distinctKeys,
  type LoaderContext,
  type PutOptions,
  type ReadOptions,
  type TouchOptions,
} from './cache-calls.ts'

/** What a namespace needs of its cache. */
interface Whole<V> {
  get(key: string, call?: ReadOptions): Promise<V | undefined>
  peek(key: string): V | undefined
  getMany(keys: Iterable<string>, call?: ReadOptions): Promise<Map<string, V>>
  getOrSet<T extends V | undefined>(
    key: string,
    load: (context: LoaderContext<V>) => T | Promise<T>,
    options?: PutOptions & ReadOptions,
  ): Promise<T>
  set(key: string, value: V, options?: PutOptions): Promise<void>
  update(key: string, change: (current: V | undefined) => V | Promise<V>, options?: PutOptions): Promise<V>
  delete(key: string, call?: DeleteOptions): Promise<void>
  touch(key: string, options?: TouchOptions): Promise<boolean>
}

/** The calls are those of the cache; a store behind it sees the whole key. */
export class Namespace<V> {
  readonly #cache: Whole<V>
  readonly #prefix: string
  readonly #clear: (call: CallOptions | undefined) => Promise<void>

  /** Made by `cache.namespace(name)`. @param prefix the name and the separator */
  constructor(cache: Whole<V>, prefix: string, clear: (call: CallOptions | undefined) => Promise<void>) {
    this.#cache = cache
    this.#prefix = prefix
    this.#clear = clear
  }

  get(key: string, call?: ReadOptions): Promise<V | undefined> {
    return this.#cache.get(this.#prefix + key, call)
  }

  peek(key: string): V | undefined {
    return this.#cache.peek(this.#prefix + key)
  }

  async getMany(keys: Iterable<string>, call?: ReadOptions): Promise<Map<string, V>> {
    const found = await this.#cache.getMany(
      distinctKeys(keys, 'namespace').map((key) => this.#prefix + key),
      call,
    )
    return new Map(Array.from(found, ([key, value]) => [key.slice(this.#prefix.length), value]))
  }

  getOrSet<T extends V | undefined>(
    key: string,
    load: (context: LoaderContext<V>) => T | Promise<T>,
    options?: PutOptions & ReadOptions,
  ): Promise<T> {
    return this.#cache.getOrSet(this.#prefix + key, load, options)
  }

  set(key: string, value: V, options?: PutOptions): Promise<void> {
    return this.#cache.set(this.#prefix + key, value, options)
  }

  update(key: string, change: (current: V | undefined) => V | Promise<V>, options?: PutOptions): Promise<V> {
    return this.#cache.update(this.#prefix + key, change, options)
  }

  delete(key: string, call?: DeleteOptions): Promise<void> {
    return this.#cache.delete(this.#prefix + key, call)
  }

  touch(key: string, options?: TouchOptions): Promise<boolean> {
    return this.#cache.touch(this.#prefix + key, options)
  }

  /** Deletes every cached value of the namespace, in every process; the store is not touched. */
  clear(call?: CallOptions): Promise<void> {
    return this.#clear(call)
  }
}
