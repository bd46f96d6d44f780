import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import { LatencyHistogram } from './latency-histogram.ts'
import type { ShoppersTask } from './messages.ts'
import { Pace } from './pace.ts'
import { TallyKeeping } from './tally-keeping.ts'
import { Visits } from './visits.ts'

test('percentiles are within 4.5 % of what was recorded, and differences of histograms are histograms', () => {
  const histogram = new LatencyHistogram()
  for (let ms = 1; ms <= 1_000; ms++) histogram.record(ms)
  for (const [fraction, ms] of [
    [0.5, 500],
    [0.99, 990],
    [0.999, 999],
  ] as const) {
    assert.ok(Math.abs(histogram.percentile(fraction)! - ms) <= ms * 0.045)
  }
  const earlier = new LatencyHistogram(histogram.counts.slice())
  histogram.record(7)
  assert.equal(histogram.since(earlier).total, 1)
  assert.ok(Math.abs(histogram.since(earlier).percentile(0.5)! - 7) < 0.35)
  assert.equal(new LatencyHistogram().percentile(0.5), null)
})

test('a pace gives each request its turn and does not make up for more than a second', async () => {
  let now = 0
  const waits: number[] = []
  const pace = new Pace(
    100,
    () => now,
    async (ms) => {
      waits.push(ms)
    },
  )
  for (let turn = 0; turn < 3; turn++) await pace.turn()
  assert.deepEqual(waits, [10, 20])
  now = 60_000
  for (let turn = 0; turn < 150; turn++) await pace.turn()
  assert.equal(waits.length - 2, 49)
})

test('when a pace is stopped, nobody waits for a turn any more', async () => {
  const pace = new Pace(0.001)
  await pace.turn()
  const waiting = pace.turn()
  pace.stop()
  await waiting
  await pace.turn()
})

test('the concurrency limit grows while answers are prompt, shrinks when one is slow, and lets waiting requests in by turn', async () => {
  let now = 0
  const limit = new ConcurrencyLimit(8, () => now)
  for (let request = 0; request < 200; request++) {
    await limit.enter()
    limit.leave(5)
  }
  assert.equal(limit.limit, 8)
  now = 1_000
  for (let request = 0; request < 5; request++) {
    await limit.enter()
    limit.leave(400)
  }
  assert.equal(limit.limit, 5)
  const entered: number[] = []
  for (let request = 0; request < 7; request++) void limit.enter().then(() => entered.push(request))
  await new Promise(setImmediate)
  assert.deepEqual(entered, [0, 1, 2, 3, 4])
  limit.leave(5)
  await new Promise(setImmediate)
  assert.deepEqual(entered, [0, 1, 2, 3, 4, 5])
})

test('a repeat is a read of a product that an earlier read was answered for before this one was sent', () => {
  const keeping = new TallyKeeping(2)
  const first = keeping.wasRead(0)
  const atTheSameTime = keeping.wasRead(0)
  keeping.pageAnswered(0, first, 'miss', 3)
  keeping.pageAnswered(0, atTheSameTime, 'miss', 3)
  keeping.pageAnswered(0, keeping.wasRead(0), 'hit', 1)
  keeping.pageAnswered(1, keeping.wasRead(1), 'miss', 1)
  keeping.pageAnswered(1, keeping.wasRead(1), 'miss', 1)
  assert.deepEqual(keeping.tally.repeats, { reads: 2, hits: 1 })
  assert.deepEqual(keeping.tally.pages, { hit: 1, stale: 0, negative: 0, miss: 4 })
})

/** Takes down what shoppers ask for, and answers at once. */
async function shop(task: ShoppersTask, requests: number, ordered: (times: number) => number | undefined = () => 201) {
  const asked: string[] = []
  let orders = 0
  const keeping = new TallyKeeping(task.productIds.length)
  const ask = async (what: string, status: number | undefined) => {
    asked.push(what)
    if (asked.length === requests) visits.stop()
    await new Promise(setImmediate)
    return status
  }
  const visits = new Visits(
    task,
    {
      readProduct: async (_, id) => void (await ask(`GET ${id}`, 200)),
      read: async (_, path) => void (await ask(`GET ${path}`, 200)),
      write: (method, _, path, body) => ask(`${method} ${path} ${JSON.stringify(body)}`, path === '/orders' ? ordered(++orders) : 200),
    },
    keeping,
  )
  await visits.run()
  return { asked, tally: keeping.tally }
}

const TASK: ShoppersTask = {
  services: { product: '', cart: '', order: '' },
  productIds: ['a', 'b', 'c'],
  reads: Int32Array.from([2, 0, 1, 1, 0]),
  orders: {
    ids: ['9', '10'],
    customer: Int32Array.from([0, -1]),
    start: Int32Array.from([0, 7, 8]),
    item: Int32Array.from([0, 1, 2, 0, 1, 2, 0, 1]),
    quantity: Int32Array.from([5, 1, 1, 1, 1, 1, 1, 2]),
  },
  userIds: ['17850'],
  guestId: 'guest',
  shoppers: 1,
  rate: undefined,
}

test('products are read in the order of the trace, which begins anew when it is over', async () => {
  const { asked } = await shop(TASK, 9)
  assert.deepEqual(asked, ['GET /users/17850', 'GET c', 'GET a', 'GET b', 'GET b', 'GET a', 'GET c', 'GET a', 'GET b'])
})

test('a visit puts the lines of an order into a cart, corrects the first, and orders', async () => {
  const { asked } = await shop(TASK, 36)
  const writes = asked.filter((each) => !each.startsWith('GET'))
  assert.deepEqual(writes.slice(0, 4), [
    'POST /carts/9/lines {"userId":"17850","lines":[{"productId":"a","quantity":6},{"productId":"b","quantity":1},{"productId":"c","quantity":1},{"productId":"a","quantity":1},{"productId":"b","quantity":1}]}',
    'POST /carts/9/lines {"userId":"17850","lines":[{"productId":"c","quantity":1},{"productId":"a","quantity":1}]}',
    'PUT /carts/9/lines/a {"userId":"17850","quantity":5}',
    'POST /orders {"orderId":"9","cartId":"9","userId":"17850"}',
  ])
})

test('there are eight reads a write, orders sent twice aside, and a log that is over begins anew under new order ids', async () => {
  const { asked, tally } = await shop(TASK, 5_000)
  const writes = asked.filter((each) => !each.startsWith('GET')).length - tally.orders.sentAgain
  assert.ok(Math.abs((asked.length - writes) / writes - 8) < 0.2, `${(asked.length - writes) / writes}`)
  assert.ok(asked.some((each) => each.startsWith('POST /orders {"orderId":"9~1"')))
  assert.ok(asked.some((each) => each.includes('"userId":"guest"')))
  assert.equal(tally.orders.answeredOtherwise, 0)
})

test('an order that is sent twice must be answered the same; a second sending that came to nothing is no other answer', async () => {
  const second = async (status: number | undefined) => {
    const { tally } = await shop(TASK, 37, (times) => (times === 2 ? status : 201))
    return [tally.orders.accepted, tally.orders.sentAgain, tally.orders.answeredOtherwise]
  }
  assert.deepEqual(await second(201), [1, 1, 0])
  assert.deepEqual(await second(409), [1, 1, 1])
  assert.deepEqual(await second(undefined), [1, 0, 0])
})
