/**
 * The near cache's own policy: the very class that it runs.
 */
import { type Ranked, SieveTinyLfu } from 'ringtail/testing'
import { type Policy, SIZE_ONE } from './policy.ts'
import { mixed } from './window-tiny-lfu.ts'

interface Item extends Ranked<Item> {
  readonly key: number
}

export const near: Policy = {
  name: 'Ringtail',
  create(capacity, sizes = SIZE_ONE) {
    const held = new Map<number, Item>()
    const policy = new SieveTinyLfu<Item>(capacity, (item) => held.delete(item.key))
    return {
      get size() {
        return policy.sizeBytes
      },
      access(key) {
        const found = held.get(key)
        if (found !== undefined) {
          policy.read(found)
          return true
        }
        const item = itemOf(key, sizes.of(key))
        held.set(key, item)
        policy.add(item)
        return false
      },
    }
  },
}

function itemOf(key: number, sizeBytes: number): Item {
  const links = { older: undefined, newer: undefined }
  return { key, hash: mixed(key + 1), sizeBytes, frequency: 0, epoch: 0, visited: false, inMain: false, ...links }
}
