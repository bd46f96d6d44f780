import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkReplicas, type NodeDump, type RestingEntry } from './replicas-at-rest.ts'

const entry = (version: bigint, hash = 'same', kind = 'value'): RestingEntry => ({ version, kind, hash })
const dump = (node: string, entries: Record<string, RestingEntry>): NodeDump => ({ node, entries: new Map(Object.entries(entries)) })
const owners = () => ['a', 'b']
const explanations = (dumps: NodeDump[], options = {}) =>
  checkReplicas(dumps, owners, options).violations.map(({ explanation }) => explanation)

test('owners that hold the same, and nodes that hold nothing, are equal at rest', () => {
  const report = checkReplicas([dump('a', { x: entry(1n) }), dump('b', { x: entry(1n) }), dump('c', {})], owners)
  assert.deepEqual(report, { keys: 1, diverged: 0, violations: [] })
})

test('owners that differ in version, kind or bytes are told with what each holds', () => {
  for (const other of [entry(2n), entry(1n, 'other'), entry(1n, 'same', 'tombstone')]) {
    const report = checkReplicas([dump('a', { x: entry(1n) }), dump('b', { x: other })], owners)
    assert.equal(report.diverged, 1)
    assert.equal(report.violations[0]!.kind, 'diverged')
    assert.match(report.violations[0]!.explanation, /its owners differ: a holds a value of version 1 \(same\), b holds a \w+ of version/)
  }
})

test('an owner that holds nothing differs, unless it may forget', () => {
  const dumps = [dump('a', { x: entry(1n) }), dump('b', {})]
  assert.match(explanations(dumps)[0]!, /b holds nothing/)
  assert.deepEqual(explanations(dumps, { mayForget: true }), [])
})

test('a node that holds what it does not own is told', () => {
  const dumps = [dump('a', { x: entry(1n) }), dump('b', { x: entry(1n) }), dump('c', { x: entry(1n) })]
  assert.deepEqual(explanations(dumps), ['c holds it, but its owners are a, b'])
})
