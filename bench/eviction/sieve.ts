/**
 * SIEVE: a queue, a mark on what was read, and a hand that forgives the marked once (Zhang et al., NSDI 2024).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import { type Policy, SIZE_ONE } from './policy.ts'

export const sieve: Policy = {
  name: 'SIEVE',
  create(capacity, sizes = SIZE_ONE) {
    const held = new Map<number, Link>()
    const chain = new Chain()
    let hand = chain.end
    const evict = () => {
      let victim = hand === chain.end ? chain.oldest : hand
      while (victim.reads > 0) {
        victim.reads = 0
        victim = victim.newer === chain.end ? chain.oldest : victim.newer
      }
      hand = victim.newer
      chain.remove(victim)
      held.delete(victim.key)
    }
    return {
      get size() {
        return chain.size
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          found.reads = 1
          return true
        }
        const size = sizes.of(key)
        while (chain.size + size > capacity) evict()
        const link = linkOf(key, size)
        held.set(key, link)
        chain.push(link)
        return false
      },
    }
  },
}
