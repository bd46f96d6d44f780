/**
 * ARC: two LRU lists, of keys seen once and of keys seen again, and the names of what left each, which say which of the two should be
 * longer (Megiddo and Modha, FAST 2003, figure 4).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import type { Policy } from './policy.ts'

export const arc: Policy = {
  name: 'ARC',
  create(capacity) {
    const known = new Map<number, Link>()
    const [once, again, onceGone, againGone] = [new Chain(), new Chain(), new Chain(), new Chain()]
    let onceTarget = 0
    const forget = (chain: Chain) => {
      const link = chain.oldest
      chain.remove(link)
      known.delete(link.key)
    }
    const replace = (wasAgainGone: boolean) => {
      const isOnceLong = once.length > onceTarget || (wasAgainGone && once.length === onceTarget)
      if (once.length > 0 && isOnceLong) onceGone.push(once.oldest)
      else againGone.push(again.oldest)
    }
    const makeRoom = () => {
      if (once.length + onceGone.length === capacity) {
        if (once.length === capacity) return forget(once)
        forget(onceGone)
        return replace(false)
      }
      if (known.size < capacity) return
      if (known.size === 2 * capacity) forget(againGone)
      replace(false)
    }
    return {
      get size() {
        return once.length + again.length
      },
      access(key) {
        const found = known.get(key)
        if (found === undefined) {
          makeRoom()
          const link = linkOf(key)
          known.set(key, link)
          once.push(link)
          return false
        }
        const isHit = found.chain === once || found.chain === again
        if (found.chain === onceGone) {
          onceTarget = Math.min(capacity, onceTarget + Math.max(1, againGone.length / onceGone.length))
          replace(false)
        } else if (found.chain === againGone) {
          onceTarget = Math.max(0, onceTarget - Math.max(1, onceGone.length / againGone.length))
          replace(true)
        }
        again.push(found)
        return isHit
      },
    }
  },
}
