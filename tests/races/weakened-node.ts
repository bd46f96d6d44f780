/**
 * A cache node with one of its protections switched off, everything else as it was.
 *
 * A protection is worth its cost only if something goes wrong without it. Here the changes on their way to a real node are bent: a put
 * becomes unconditional (no version check; compare-and-set and fills keep theirs), a fill forgets its lease, a tombstone becomes a removal
 * that leaves nothing behind.
 */
import { KIND_BYTE, OFFSET } from '../../src/codec/envelope.ts'
import type { CacheNode, Change } from '../../src/index.ts'

export type Protection = 'version-check' | 'lease-check' | 'tombstone'

export const PROTECTIONS: readonly Protection[] = ['version-check', 'lease-check', 'tombstone']

export function weakened(node: CacheNode, protection: Protection): CacheNode {
  const bend = BENT[protection]
  const bent: Pick<CacheNode, 'apply' | 'change'> = {
    apply: (changes, call) => node.apply(changes.map(bend), call),
    change: (change, receiver, call) => node.change(bend(change), receiver, call),
  }
  return new Proxy(node, {
    get(target, name) {
      if (name in bent) return bent[name as keyof typeof bent]
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const BENT: Readonly<Record<Protection, (change: Change) => Change>> = {
  'version-check'(change) {
    if (change.op !== 'put' || change.expected !== undefined || change.lease !== undefined) return change
    return { op: 'set', key: change.key, bytes: change.bytes, ttlMs: change.ttlMs }
  },
  'lease-check'(change) {
    if (change.op !== 'put' || change.lease === undefined) return change
    const { lease: _, ...put } = change
    return put
  },
  tombstone(change) {
    if (change.op !== 'put' || change.bytes[OFFSET.kind] !== KIND_BYTE.tombstone) return change
    return { op: 'drop', key: change.key }
  },
}
