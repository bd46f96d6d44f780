import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BoundedEntries, entryBytes } from './bounded-entries.ts'

const keyOf = (at: number): string => `key:${at}`
const step = fc.record({
  key: fc.nat(30),
  op: fc.constantFrom('set', 'set', 'set', 'get', 'delete', 'rewrite', 'prolong', 'pass'),
  size: fc.nat(400),
  byte: fc.nat(255),
  ttlMs: fc.constantFrom(0, 20, 50, 1_000),
})

interface Known {
  bytes: Buffer
  expiresAtMs: number
}

/** A Map that is too simple to be wrong beside what is tested. @param check after each step */
function replay(
  maxBytes: number,
  steps: readonly { key: number; op: string; size: number; byte: number; ttlMs: number }[],
  check: (entries: BoundedEntries, model: Map<string, Known>, nowMs: number) => void,
): void {
  let nowMs = 0
  const model = new Map<string, Known>()
  const entries = new BoundedEntries(
    maxBytes,
    () => nowMs,
    (key) => model.delete(key),
  )
  for (const { key: at, op, size, byte, ttlMs } of steps) {
    const key = keyOf(at)
    const known = model.get(key)
    if (op === 'set') {
      // What lies there past its time is told of as gone now, not in the midst of the call.
      entries.peek(key)
      const bytes = Buffer.alloc(size, byte)
      model.set(key, { bytes, expiresAtMs: ttlMs === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlMs })
      if (!entries.set(key, bytes, ttlMs)) model.delete(key)
    } else if (op === 'get') {
      entries.get(key)
    } else if (op === 'delete') {
      model.delete(key)
      entries.delete(key)
    } else if (op === 'rewrite' && known !== undefined && known.expiresAtMs > nowMs) {
      known.bytes = Buffer.alloc(known.bytes.length, byte)
      entries.rewrite(key, known.bytes)
    } else if (op === 'prolong' && known !== undefined && known.expiresAtMs > nowMs && known.expiresAtMs < Number.POSITIVE_INFINITY) {
      known.expiresAtMs = nowMs + 40
      entries.prolong(key, 40)
    } else if (op === 'pass') {
      nowMs += 5
    }
    check(entries, model, nowMs)
  }
}

function assertHolds(entries: BoundedEntries, model: Map<string, Known>, nowMs: number): void {
  for (let at = 0; at <= 30; at++) {
    const known = model.get(keyOf(at))
    const alive = known !== undefined && known.expiresAtMs > nowMs ? known : undefined
    const found = entries.peek(keyOf(at))
    assert.equal(found === undefined, alive === undefined, keyOf(at))
    if (alive === undefined) continue
    assert.ok(alive.bytes.equals(found!))
    const remainingMs = alive.expiresAtMs === Number.POSITIVE_INFINITY ? 0 : alive.expiresAtMs - nowMs
    assert.equal(entries.ttlMs(keyOf(at)), remainingMs)
  }
  assert.deepEqual([...entries.keys()].sort(), [...model.keys()].sort())
}

test('law: a key holds what was put last, until it is deleted, or told of as gone', () => {
  for (const maxBytes of [1 << 20, 4_000]) {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => replay(maxBytes, steps, assertHolds)),
      { numRuns: 60 },
    )
  }
})

test('law: what is held never counts more than it may, and counts each entry once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      replay(4_000, steps, (entries, model) => {
        const counted = [...model].reduce((sum, [key, { bytes }]) => sum + entryBytes(key.length, bytes.length), 0)
        assert.deepEqual([entries.usedBytes, entries.size], [counted, model.size])
        assert.ok(counted <= 4_000)
      })
    }),
    { numRuns: 60 },
  )
})

test('what has no expiry leaves the others the rest of the room, and gives it back when it goes', () => {
  const entries = new BoundedEntries(
    8_000,
    () => 0,
    () => {},
  )
  for (let at = 0; at < 10; at++) assert.ok(entries.set(`kept ${at}`, Buffer.alloc(400), 0))
  for (let at = 0; at < 50; at++) entries.set(`other ${at}`, Buffer.alloc(400), 1_000)
  assert.equal(entries.size, Math.floor(8_000 / entryBytes(8, 400)))
  for (let at = 0; at < 10; at++) assert.ok(entries.delete(`kept ${at}`))
  for (let at = 0; at < 50; at++) entries.set(`other ${at}`, Buffer.alloc(400), 1_000)
  assert.equal(entries.size, Math.floor(8_000 / entryBytes(8, 400)))
})
