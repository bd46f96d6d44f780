import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OFFSET } from '../codec/envelope.ts'
import type { CacheNode } from '../node/node.ts'
import { riggedEntry } from '../testing/cluster-rig.ts'
import { type Answer, newestOf } from './newest.ts'

const NOW_MS = 1_735_689_600_000
const answer = (bytes: Uint8Array | undefined): Answer => ({ node: {} as CacheNode, bytes })

/** What an owner may hold, from the oldest on. */
const inOrder = [
  undefined,
  riggedEntry({ kind: 'vacant', ms: 0, ttlMs: 0 }),
  Buffer.from('some foreign bytes, longer than a header is by itself'),
  riggedEntry({ ms: NOW_MS }),
  riggedEntry({ ms: NOW_MS, ttlMs: 3_600_001 }),
  riggedEntry({ kind: 'tombstone', ms: NOW_MS + 1, ttlMs: 0 }),
  riggedEntry({ kind: 'negative', ms: NOW_MS + 2 }),
  riggedEntry({ kind: 'pending', ms: NOW_MS + 3 }),
]

test('whatever the order of the answers, the newest is found: absent, vacant, foreign, then by stamp', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: inOrder.length - 1 }), { minLength: 1, maxLength: 5 }), (ranks) => {
      assert.equal(newestOf(ranks.map((rank) => answer(inOrder[rank]))).bytes, inOrder[Math.max(...ranks)])
    }),
  )
})

test('of equal answers the first is taken', () => {
  const answers = [answer(undefined), answer(riggedEntry({ ms: NOW_MS })), answer(riggedEntry({ ms: NOW_MS }))]
  assert.equal(newestOf(answers), answers[1])
})

test('an entry whose version was bent on its way does not win over a whole one', () => {
  const whole = riggedEntry({ ms: NOW_MS })
  const bent = riggedEntry({ ms: NOW_MS })
  bent[OFFSET.version] = 0x7f
  assert.equal(newestOf([answer(bent), answer(whole), answer(undefined)]).bytes, whole)
})
