/**
 * Who follows which prefix, and telling them.
 *
 * A message names keys of many caches, each of which hears of its own: a key is cut at each length that a followed prefix has and looked up,
 * so that telling costs by the number of lengths, not of prefixes. A follower that throws harms no other.
 */
import { asError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { CacheNode } from '../node/node.ts'
import type { Follower } from './invalidation.ts'

export class Followers {
  readonly #byPrefix = new Map<string, Set<Follower>>()
  readonly #emit: Emit
  #lengths: readonly number[] = []

  constructor(emit: Emit) {
    this.#emit = emit
  }

  get prefixes(): readonly string[] {
    return [...this.#byPrefix.keys()]
  }

  has(prefix: string): boolean {
    return this.#byPrefix.has(prefix)
  }

  add(prefix: string, follower: Follower): void {
    const followers = this.#byPrefix.get(prefix)
    if (followers === undefined) this.#byPrefix.set(prefix, new Set([follower]))
    else followers.add(follower)
    this.#measure()
  }

  remove(prefix: string, follower: Follower): void {
    const followers = this.#byPrefix.get(prefix)
    followers?.delete(follower)
    if (followers?.size === 0) this.#byPrefix.delete(prefix)
    this.#measure()
  }

  changed(keys: readonly string[]): void {
    const told = new Map<Follower, string[]>()
    for (const key of keys) {
      for (const length of this.#lengths) {
        const followers = length > key.length ? undefined : this.#byPrefix.get(key.slice(0, length))
        if (followers === undefined) continue
        for (const follower of followers) {
          const own = told.get(follower)
          if (own === undefined) told.set(follower, [key])
          else own.push(key)
        }
      }
    }
    for (const [follower, own] of told) this.#tell(() => follower.changed(own))
  }

  lost(reason: string, node: CacheNode | undefined): void {
    for (const follower of this.#all()) this.#tell(() => follower.lost(reason, node))
  }

  covered(): void {
    for (const follower of this.#all()) this.#tell(() => follower.covered?.())
  }

  #all(): Set<Follower> {
    const all = new Set<Follower>()
    for (const followers of this.#byPrefix.values()) for (const follower of followers) all.add(follower)
    return all
  }

  #tell(telling: () => void): void {
    try {
      telling()
    } catch (thrown) {
      this.#emit('listener:failed', { event: 'invalidation', reason: asError(thrown).message })
    }
  }

  #measure(): void {
    this.#lengths = [...new Set(Array.from(this.#byPrefix.keys(), (prefix) => prefix.length))]
  }
}
