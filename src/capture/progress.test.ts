import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endingAt, lsnOf, lsnText } from './lsn.ts'
import { Progress } from './progress.ts'

test('something is open from when the database was asked until all up to there is told', () => {
  const progress = new Progress()
  progress.probe(10n, 100)
  progress.probe(20n, 200)
  assert.equal(progress.openSinceMs, 100)
  progress.reach(15n)
  assert.equal(progress.openSinceMs, 200)
  progress.reach(20n)
  assert.equal(progress.openSinceMs, undefined)
  progress.probe(20n, 300)
  assert.equal(progress.openSinceMs, undefined)
})

test('however often the database is asked, the oldest open moment and the latest are known', () => {
  const progress = new Progress()
  for (let at = 1; at <= 100; at++) progress.probe(BigInt(at), at)
  assert.deepEqual([progress.openSinceMs, progress.latest], [1, 100n])
  progress.reach(1n)
  assert.ok(progress.openSinceMs! > 1)
  progress.reach(100n)
  assert.equal(progress.openSinceMs, undefined)
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
