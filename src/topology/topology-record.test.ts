import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Member, TopologyRecord } from './topology.ts'
import {
  comingAndGoing,
  decidedRecord,
  decodeRecord,
  encodeRecord,
  everyMember,
  firstRecord,
  isMajority,
  movingRecord,
  phaseOf,
  settledRecord,
  switchedRecord,
} from './topology-record.ts'

const member = (id: string): Member => ({ id, zone: 'a', weight: 1, label: id, url: `redis://${id}:6379` })
const members = (...ids: string[]): Member[] => ids.map(member)
const OLD = members('n1', 'n2', 'n3')
const NEXT = members('n2', 'n3', 'n4')
const moving = movingRecord(firstRecord(OLD), { next: NEXT, id: 'x', startedMs: 5, by: 'me' }, 10)
const switched = switchedRecord(moving, 20)
const settled = settledRecord(switched, 30)

test('a change goes by epochs that follow one another, and the two rings change places', () => {
  assert.deepEqual(
    [moving, switched, settled].map(({ epoch }) => epoch),
    [1, 2, 3],
  )
  assert.deepEqual([moving, switched, settled].map(phaseOf), ['moving', 'switched', 'settled'])
  assert.deepEqual([moving.members, moving.change!.members], [OLD, NEXT])
  assert.deepEqual([switched.members, switched.change!.members], [NEXT, OLD])
  assert.deepEqual(settled.members, NEXT)
  for (const record of [moving, switched]) assert.deepEqual(comingAndGoing(record), { joining: ['n4'], leaving: ['n1'] })
  assert.deepEqual(
    everyMember(switched).map(({ id }) => id),
    ['n2', 'n3', 'n4', 'n1'],
  )
})

test('a record is the same after its way over a node, and what is none is no record', () => {
  for (const record of [moving, switched, settled]) {
    assert.deepEqual(decodeRecord(encodeRecord(record)), record)
    assert.deepEqual(encodeRecord(decodeRecord(encodeRecord(record))!), encodeRecord(record))
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeRecord(bytes) === undefined))
  fc.assert(
    fc.property(fc.jsonValue(), (value) => decodeRecord(Buffer.from(JSON.stringify(value))) === undefined || typeof value === 'object'),
  )
  for (const bent of [
    { ...moving, epoch: 0 },
    { ...moving, members: [] },
    { ...moving, members: [{ id: 'n1' }] },
    { ...moving, change: { phase: 'x' } },
  ])
    assert.equal(decodeRecord(Buffer.from(JSON.stringify(bent))), undefined)
})

const holding = (record: TopologyRecord | undefined, ...ids: string[]) =>
  ids.map((node) => ({ node, bytes: record && encodeRecord(record) }))

test('what more than half of the members hold is decided, what fewer hold is not', () => {
  assert.equal(decidedRecord(firstRecord(OLD), [...holding(moving, 'n1'), ...holding(undefined, 'n2', 'n3')]), undefined)
  assert.deepEqual(decidedRecord(firstRecord(OLD), holding(moving, 'n1', 'n2')), moving)
})

test('those whose ring is read before a step decide it, and those of the other ring do not', () => {
  const [old, next] = [
    ['n1', 'n2'],
    ['n3', 'n4'],
  ] as const
  assert.deepEqual(decidedRecord(moving, holding(switched, ...old)), switched)
  assert.equal(decidedRecord(moving, holding(switched, ...next)), undefined)
  assert.deepEqual(decidedRecord(switched, holding(settled, ...next)), settled)
  assert.equal(decidedRecord(switched, holding(settled, 'n1', 'n2')), undefined)
})

test('two records of one epoch on different nodes are not counted together', () => {
  const other = movingRecord(firstRecord(OLD), { next: NEXT, id: 'y', startedMs: 6, by: 'you' }, 10)
  assert.equal(decidedRecord(firstRecord(OLD), [...holding(moving, 'n1'), ...holding(other, 'n2')]), undefined)
})

test('who has slept through a change goes by what most of the new members hold', () => {
  const far = { ...settled, epoch: 9, members: members('n3', 'n7', 'n8') }
  assert.equal(decidedRecord(firstRecord(OLD), holding(far, 'n3')), undefined)
  assert.deepEqual(decidedRecord(firstRecord(OLD), holding(far, 'n3', 'n7')), far)
})

test('nobody goes back: whatever nodes hold, what is decided is later than what is known', () => {
  const records = [moving, switched, settled]
  const state = fc.array(fc.record({ node: fc.constantFrom('n1', 'n2', 'n3', 'n4'), record: fc.constantFrom(undefined, ...records) }))
  fc.assert(
    fc.property(fc.constantFrom(firstRecord(OLD), ...records), state, (known, held) => {
      const decided = decidedRecord(
        known,
        held.flatMap(({ node, record }) => holding(record, node)),
      )
      return decided === undefined || decided.epoch > known.epoch
    }),
  )
})

test('of two that each have more than half, some node is common: no two are decided in one epoch', () => {
  fc.assert(
    fc.property(fc.subarray(['n1', 'n2', 'n3', 'n4', 'n5']), fc.subarray(['n1', 'n2', 'n3', 'n4', 'n5']), (one, other) => {
      const all = members('n1', 'n2', 'n3', 'n4', 'n5')
      return !(isMajority(one, all) && isMajority(other, all)) || one.some((id) => other.includes(id))
    }),
  )
})
