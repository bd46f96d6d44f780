/**
 * S3-FIFO: a small queue that most new keys do not survive, a main one, and the names of those that were let go (Yang et al., SOSP 2023).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import type { Policy } from './policy.ts'

const SMALL_SHARE = 0.1
const MOST_READS = 3

export const s3Fifo: Policy = {
  name: 'S3-FIFO',
  create(capacity) {
    const held = new Map<number, Link>()
    const ghosts = new Set<number>()
    const small = new Chain()
    const main = new Chain()
    const smallLength = Math.max(1, Math.floor(capacity * SMALL_SHARE))
    const mainLength = capacity - smallLength
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
          if (main.length > mainLength) return evictFromMain()
        } else {
          small.remove(oldest)
          held.delete(oldest.key)
          ghosts.add(oldest.key)
          if (ghosts.size > mainLength) for (const first of ghosts) return void ghosts.delete(first)
          return
        }
      }
    }
    return {
      get size() {
        return held.size
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          if (found.reads < MOST_READS) found.reads++
          return true
        }
        while (held.size >= capacity) {
          if (small.length >= smallLength || main.length === 0) evictFromSmall()
          else evictFromMain()
        }
        const link = linkOf(key)
        held.set(key, link)
        const wasKnown = ghosts.delete(key)
        if (wasKnown) main.push(link)
        else small.push(link)
        return false
      },
    }
  },
}
