/**
 * Least recently used: what most caches do, and what everything else is measured against.
 */
import { Chain, type Link, linkOf } from './chain.ts'
import { type Policy, SIZE_ONE } from './policy.ts'

export const lru: Policy = {
  name: 'LRU',
  create(capacity, sizes = SIZE_ONE) {
    const held = new Map<number, Link>()
    const chain = new Chain()
    return {
      get size() {
        return chain.size
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          chain.push(found)
          return true
        }
        const size = sizes.of(key)
        while (chain.size + size > capacity) {
          const victim = chain.oldest
          chain.remove(victim)
          held.delete(victim.key)
        }
        const link = linkOf(key, size)
        held.set(key, link)
        chain.push(link)
        return false
      },
    }
  },
}
