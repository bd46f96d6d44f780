/**
 * S3-FIFO: a small queue that most new keys do not survive, a main one, and the names of those that were let go (Yang et al., SOSP 2023).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import { type Policy, SIZE_ONE } from './policy.ts'

const SMALL_SHARE = 0.1
const MOST_READS = 3

export const s3Fifo: Policy = {
  name: 'S3-FIFO',
  create(capacity, sizes = SIZE_ONE) {
    const held = new Map<number, Link>()
    const ghosts = new Map<number, number>()
    let ghostSize = 0
    const small = new Chain()
    const main = new Chain()
    const smallSize = Math.max(1, Math.floor(capacity * SMALL_SHARE))
    const mainSize = capacity - smallSize
    const forget = (key: number): boolean => {
      ghostSize -= ghosts.get(key) ?? 0
      return ghosts.delete(key)
    }
    const evictFromMain = () => {
      while (main.oldest.reads > 0) {
        const forgiven = main.oldest
        forgiven.reads--
        main.push(forgiven)
      }
      const victim = main.oldest
      main.remove(victim)
      held.delete(victim.key)
    }
    const evictFromSmall = () => {
      while (small.length > 0) {
        const oldest = small.oldest
        if (oldest.reads > 1) {
          oldest.reads = 0
          main.push(oldest)
          if (main.size > mainSize) return evictFromMain()
        } else {
          small.remove(oldest)
          held.delete(oldest.key)
          ghosts.set(oldest.key, oldest.size)
          ghostSize += oldest.size
          for (const first of ghosts.keys()) {
            if (ghostSize <= mainSize) break
            forget(first)
          }
          return
        }
      }
    }
    return {
      get size() {
        return small.size + main.size
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          if (found.reads < MOST_READS) found.reads++
          return true
        }
        const size = sizes.of(key)
        while (small.size + main.size + size > capacity) {
          if (small.size >= smallSize || main.length === 0) evictFromSmall()
          else evictFromMain()
        }
        const link = linkOf(key, size)
        held.set(key, link)
        const wasKnown = forget(key)
        if (wasKnown) main.push(link)
        else small.push(link)
        return false
      },
    }
  },
}
