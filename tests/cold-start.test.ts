import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { coldStart } from './support/cold-start.ts'
import { type RunningPostgres, startPostgres } from './support/postgres.ts'

/** An empty cache under more load than its database bears, on a real PostgreSQL. The figures of a long one: `npm run bench:cold-start`. */

const LIVE = { timeout: 100_000 }
const LOAD = { rate: 1_000, seconds: 3, keys: 2_000 }

let postgres: RunningPostgres
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres.stop())

test('a cold start asks the database by no more statements at once than the cap, and in the end everything is cached', LIVE, async (t) => {
  const { mostAtOnce, requests, answered, answeredAtEnd, failed, missingAfter } = await coldStart(postgres, { ...LOAD, stores: {} })
  t.diagnostic(`answered ${answered} of ${requests}, ${mostAtOnce} statements at once at most; failed: ${JSON.stringify(failed)}`)
  assert.ok(mostAtOnce <= 16, `${mostAtOnce} statements at once`)
  assert.equal(requests, LOAD.rate * LOAD.seconds)
  assert.ok(answered >= 0.9 * requests, `${answered} answered`)
  assert.ok(answeredAtEnd >= 0.99, `in the last fifth ${answeredAtEnd} of them`)
  assert.deepEqual(
    Object.keys(failed).filter((code) => !['OVERLOADED', 'DEADLINE_EXCEEDED', 'STORE_FAILED'].includes(code)),
    [],
  )
  assert.equal(missingAfter, 0)
})

test(
  'one that may ask for next to nothing keeps to that, fails with typed errors alone, and is well again once the load is over',
  LIVE,
  async (t) => {
    const stores = { concurrency: 2, queue: 20, wait: 30 }
    const { mostAtOnce, requests, answered, failed, missingAfter } = await coldStart(postgres, { ...LOAD, stores })
    t.diagnostic(`answered ${answered}, ${mostAtOnce} statements at once at most; failed: ${JSON.stringify(failed)}`)
    assert.ok(mostAtOnce <= 2, `${mostAtOnce} statements at once`)
    assert.ok(answered >= 0.5 * requests, `${answered} answered`)
    assert.deepEqual(
      Object.keys(failed).filter((code) => !['OVERLOADED', 'DEADLINE_EXCEEDED', 'STORE_FAILED'].includes(code)),
      [],
    )
    assert.equal(missingAfter, 0)
  },
)
