/**
 * Least recently used: what most caches do, and what everything else is measured against.
 */
import { Chain, type Link, linkOf } from './chain.ts'
import type { Policy } from './policy.ts'

export const lru: Policy = {
  name: 'LRU',
  create(capacity) {
    const held = new Map<number, Link>()
    const chain = new Chain()
    return {
      get size() {
        return held.size
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          chain.push(found)
          return true
        }
        if (held.size >= capacity) {
          const victim = chain.oldest
          chain.remove(victim)
          held.delete(victim.key)
        }
        const link = linkOf(key)
        held.set(key, link)
        chain.push(link)
        return false
      },
    }
  },
}
