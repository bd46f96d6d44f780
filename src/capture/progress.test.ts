import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endingAt, lsnOf, lsnText } from './lsn.ts'
import { Progress } from './progress.ts'

test('all up to a moment is told when the place that the database had then is reached, and later moments are not known', () => {
  const progress = new Progress()
  assert.equal(progress.toldMs, undefined)
  progress.probe(10n, 100)
  progress.probe(20n, 200)
  assert.equal(progress.toldMs, undefined)
  progress.reach(15n)
  assert.equal(progress.toldMs, 100)
  progress.reach(25n)
  assert.equal(progress.toldMs, 200)
  progress.probe(20n, 300)
  assert.equal(progress.toldMs, 300)
  progress.restart()
  assert.equal(progress.toldMs, 300)
})

test('however often the database is asked, what is reached is known, and the latest', () => {
  const progress = new Progress()
  for (let at = 1; at <= 100; at++) progress.probe(BigInt(at), at)
  assert.deepEqual([progress.toldMs, progress.latest], [undefined, 100n])
  progress.reach(1n)
  assert.equal(progress.toldMs, 1)
  progress.reach(100n)
  assert.equal(progress.toldMs, 100)
})

test('who waits to be caught up waits for a moment that came after it asked', async () => {
  const progress = new Progress()
  let done = false
  progress.probe(10n, 100)
  void progress.reached(150).promise.then(() => {
    done = true
  })
  progress.reach(10n)
  await Promise.resolve()
  assert.equal(done, false)
  progress.probe(10n, 160)
  await Promise.resolve()
  assert.equal(done, true)
})

test('places of the log compare as numbers and read as PostgreSQL prints them', () => {
  assert.equal(lsnText(lsnOf('16/B374D848')), '16/B374D848')
  assert.ok(lsnOf('A/0') > lsnOf('9/FFFFFFFF'))
  assert.deepEqual([endingAt(8_192n + 24n), endingAt(8_192n + 40n), endingAt(8_192n + 32n)], [8_192n, 8_192n, 8_224n])
})

test('a place of one connection is none of the next one', () => {
  const progress = new Progress()
  progress.reach(1_000n)
  progress.restart()
  assert.equal(progress.place, 0n)
  progress.reach(10n)
  assert.equal(progress.place, 10n)
})
