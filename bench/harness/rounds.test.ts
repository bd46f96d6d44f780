import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interleavedRounds, type Run } from './rounds.ts'

test('everybody warms up, then runs once a round, the first of a round being the second of the one before', async () => {
  const calls: string[] = []
  const run = (name: string): [string, Run<number>] => [
    name,
    async (ms) => {
      calls.push(`${name}${ms}`)
      return calls.length
    },
  ]
  const figures = await interleavedRounds(new Map(['a', 'b', 'c'].map(run)), { rounds: 3, warmUpMs: 5, runMs: 9 })
  assert.equal(calls.join(' '), 'a5 b5 c5 a9 b9 c9 b9 c9 a9 c9 a9 b9')
  assert.deepEqual(
    [...figures].map(([name, each]) => [name, each.length]),
    [
      ['a', 3],
      ['b', 3],
      ['c', 3],
    ],
  )
  assert.deepEqual(figures.get('a'), [4, 9, 11])
})
