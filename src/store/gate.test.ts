import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../clock.ts'
import type { PostgresPool, PostgresQuery } from './postgres-query.ts'
import { postgresReader } from './postgres-reader.ts'
import { postgresStore } from './postgres-store.ts'
import { shardedReader, shardedStore } from './sharded-store.ts'
import type { StoreCall, StoreReader } from './store.ts'

/** A pool that answers nothing until told to: as `pg`'s, it takes whatever it is handed. */
class SilentPool implements PostgresPool {
  readonly unanswered: { resolve(answer: { rows: unknown[] }): void; reject(error: Error): void }[] = []

  query(_query: PostgresQuery): Promise<{ rows: unknown[] }> {
    return new Promise((resolve, reject) => this.unanswered.push({ resolve, reject }))
  }

  answerFirst(): void {
    this.unanswered.shift()!.resolve({ rows: [] })
  }

  failFirst(): void {
    this.unanswered.shift()!.reject(new Error('query timeout'))
  }
}

/** Lets all that can run do so. */
const settled = () => new Promise<void>((resolve) => systemClock.soon(resolve))

/** A load whose caller has left, and what it was left with. */
async function abandoned(reader: StoreReader<unknown>): Promise<unknown> {
  const giveUp = new AbortController()
  const load = reader.load(['a'], { signal: giveUp.signal }).catch((error: unknown) => error)
  await settled()
  giveUp.abort(new Error('enough'))
  return load
}

const readerOn = (pool: PostgresPool) => postgresReader({ pool, name: 'a', query: 'select key from a where key = any($1)' })
const storeOn = (pool: PostgresPool) => postgresStore({ pool, table: 'a' })
const limits = { concurrency: 2, queue: 1 }

for (const [what, sharded] of [
  ['a reader', (pool: PostgresPool) => shardedReader([readerOn(pool)], limits)],
  ['a store', (pool: PostgresPool) => shardedStore([storeOn(pool)], limits)],
  ['shards of shards', (pool: PostgresPool) => shardedReader([shardedReader([readerOn(pool)], { concurrency: 60 })], limits)],
] as const) {
  describe(`in front of a silent database, ${what}`, () => {
    test('has no more statements unanswered than its concurrency, however many callers have left', async () => {
      const pool = new SilentPool()
      const reader = sharded(pool)
      for (let left = 0; left < 60; left++) assert.match(String(await abandoned(reader)), /enough/)
      assert.equal(pool.unanswered.length, 2)
    })

    test('turns calls away once statements nobody waits for take all places and the line is full', async () => {
      const pool = new SilentPool()
      const reader = sharded(pool)
      for (let left = 0; left < 2; left++) await abandoned(reader)
      const waiting = reader.load(['a'])
      await settled()
      assert.equal(pool.unanswered.length, 2)
      assert.equal((await reader.load(['b'])).failed?.get('b')?.code, 'OVERLOADED')
      pool.answerFirst()
      await settled()
      pool.answerFirst()
      pool.answerFirst()
      assert.equal((await waiting).failed?.size, 0)
    })

    test('gives a place back when its statement is answered or fails', async () => {
      const pool = new SilentPool()
      const reader = sharded(pool)
      for (let round = 0; round < 3; round++) {
        for (let left = 0; left < 3; left++) await abandoned(reader)
        assert.equal(pool.unanswered.length, 2)
        pool.answerFirst()
        pool.failFirst()
        await settled()
      }
      const loads = [reader.load(['a']), reader.load(['b'])]
      await settled()
      assert.equal(pool.unanswered.length, 2)
      pool.answerFirst()
      pool.answerFirst()
      for (const { failed } of await Promise.all(loads)) assert.equal(failed?.size, 0)
    })
  })
}

test('a save and a removal whose callers have left take their places until the statements are over', async () => {
  const pool = new SilentPool()
  const store = shardedStore([storeOn(pool)], limits)
  const giveUp = new AbortController()
  const call: StoreCall = { signal: giveUp.signal }
  const changes = [store.save([{ key: 'a', value: 1, floor: 1n }], call), store.remove([{ key: 'b', floor: 1n }], call)]
  await settled()
  giveUp.abort(new Error('enough'))
  assert.deepEqual(
    (await Promise.all(changes)).flat().map(({ state }) => state),
    ['unknown', 'unknown'],
  )
  const next = store.load(['c'])
  await settled()
  assert.equal(pool.unanswered.length, 2)
  pool.answerFirst()
  await settled()
  assert.equal(pool.unanswered.length, 2)
  pool.answerFirst()
  pool.answerFirst()
  assert.equal((await next).failed?.size, 0)
})

test('work left running is handed on to the call that was given', async () => {
  const pool = new SilentPool()
  const reader = shardedReader([readerOn(pool)])
  const giveUp = new AbortController()
  const left: Promise<unknown>[] = []
  const load = reader.load(['a'], { signal: giveUp.signal, leftRunning: (work) => left.push(work) })
  await settled()
  giveUp.abort(new Error('enough'))
  await assert.rejects(load, /enough/)
  assert.equal(left.length, 1)
  pool.answerFirst()
  assert.deepEqual(await left[0], { rows: [] })
})

test('a call that was answered leaves nothing running', async () => {
  const pool = new SilentPool()
  const giveUp = new AbortController()
  const load = storeOn(pool).load(['a'], { signal: giveUp.signal, leftRunning: () => assert.fail('was answered') })
  pool.answerFirst()
  await load
  giveUp.abort(new Error('enough'))
})
