import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Draws } from '../data/draws.ts'
import type { Workload } from '../data/workload.ts'
import { UndoStack } from '../lifecycle/undo.ts'
import { findOrder, OrderIdTaken, type OrderRequest, placeOrder, settlePending } from './orders.ts'
import { startPostgresServers } from './postgres-servers.ts'
import { readBack } from './read-back.ts'
import { createSchema, createTables } from './schema.ts'
import { connectShards, disconnectShards, type Shard, shardOf } from './shards.ts'

const undo = new UndoStack()
let shards: Shard[]

before(async () => {
  const urls = await startPostgresServers(2, undo, new AbortController().signal)
  shards = connectShards(urls)
  undo.add({ what: 'connections', stop: () => disconnectShards(shards) })
  for (const [index, shard] of shards.entries()) {
    await createSchema(shard, urls[index]!)
    await createTables(shard)
  }
})
after(async () => assert.deepEqual(await undo.run(), []))

/** Gives each product this much stock, and forgets all orders. @returns what the read-back needs to know */
async function stocked(...quantities: number[]): Promise<Workload> {
  const products = quantities.map((_, index) => ({ id: `s60p${index}` }))
  for (const shard of shards) await shard.aside.query('truncate stock, orders, order_lines, reservations')
  for (const [index, { id }] of products.entries()) {
    await shards[shardOf(id, shards.length)]!.aside.query('insert into stock (product_id, quantity) values ($1, $2)', [
      id,
      quantities[index],
    ])
  }
  return { products, initialStock: Int32Array.from(quantities) } as unknown as Workload
}

async function stockOf(id: string): Promise<number | undefined> {
  const { rows } = await shards[shardOf(id, shards.length)]!.aside.query<{ quantity: number }>(
    'select quantity from stock where product_id = $1',
    [id],
  )
  return rows[0]?.quantity
}

function order(id: string, lines: Record<string, number>, userId = 'u'): OrderRequest {
  return { id, userId, lines: Object.entries(lines).map(([productId, quantity]) => ({ productId, quantity })) }
}

test('the products of these tests, so named, lie on one shard and the other in turn', () => {
  assert.deepEqual(
    ['s60p0', 's60p1', 's60p2', 's60p3'].map((id) => shardOf(id, 2)),
    [0, 1, 0, 1],
  )
})

test('an order over several shards takes all its lines, or none when one shard refuses', async () => {
  const workload = await stocked(5, 5, 5, 0)
  assert.deepEqual(await placeOrder(shards, order('1', { s60p0: 2, s60p1: 2, s60p2: 2 })), { status: 'accepted', short: [] })
  assert.deepEqual(await placeOrder(shards, order('2', { s60p0: 1, s60p1: 1, s60p2: 1, s60p3: 1 })), {
    status: 'refused',
    short: ['s60p3'],
  })
  assert.deepEqual(await Promise.all(['s60p0', 's60p1', 's60p2', 's60p3'].map(stockOf)), [3, 3, 3, 0])
  const { orders, stock } = await readBack(shards, workload)
  assert.deepEqual(orders, { stored: 1, duplicated: 0, refused: 1, pending: 0 })
  assert.deepEqual(stock, { lowest: 0, unbalanced: 0 })
})

test('an order for a product that does not exist is refused', async () => {
  await stocked(5)
  assert.deepEqual(await placeOrder(shards, order('1', { s60p0: 1, nothing: 1 })), { status: 'refused', short: ['nothing'] })
  assert.equal(await stockOf('s60p0'), 5)
})

test('the same order again, also at the same time, is answered the same and taken once', async () => {
  const workload = await stocked(10, 10)
  const answers = await Promise.all(Array.from({ length: 8 }, () => placeOrder(shards, order('1', { s60p0: 3, s60p1: 4 }))))
  answers.push(await placeOrder(shards, order('1', { s60p0: 9 })))
  for (const answer of answers) assert.deepEqual(answer, { status: 'accepted', short: [] })
  assert.deepEqual([await stockOf('s60p0'), await stockOf('s60p1')], [7, 6])
  assert.equal((await readBack(shards, workload)).stock.unbalanced, 0)
  await assert.rejects(placeOrder(shards, order('1', { s60p0: 1 }, 'somebody else')), OrderIdTaken)
})

test('a refused order tried many times at once is refused each time, and leaves the stock as it was', async () => {
  const workload = await stocked(10, 1)
  const answers = await Promise.all(Array.from({ length: 8 }, () => placeOrder(shards, order('1', { s60p0: 3, s60p1: 4 }))))
  for (const answer of answers) assert.equal(answer.status, 'refused')
  assert.deepEqual([await stockOf('s60p0'), await stockOf('s60p1')], [10, 1])
  assert.equal((await readBack(shards, workload)).stock.unbalanced, 0)
})

test('many orders at once for the same few products never sell more than there is, and the books balance', async () => {
  const workload = await stocked(40, 30, 20, 10, 25, 15)
  const draws = new Draws(7)
  const requests = Array.from({ length: 150 }, (_, index) => {
    const lines: Record<string, number> = {}
    for (let line = 0; line < 3; line++) lines[`s60p${draws.whole(0, 5)}`] = draws.whole(1, 3)
    return order(`o${index}`, lines)
  })
  // Every third one is sent twice.
  const answers = await Promise.all(
    requests.flatMap((each, index) => (index % 3 === 0 ? [each, each] : [each])).map((each) => placeOrder(shards, each)),
  )
  const back = await readBack(shards, workload)
  assert.ok(back.stock.lowest >= 0)
  assert.deepEqual([back.stock.unbalanced, back.orders.duplicated, back.orders.pending], [0, 0, 0])
  assert.equal(back.orders.stored + back.orders.refused, 150)
  assert.ok(back.orders.stored > 5 && answers.some(({ status }) => status === 'refused'))
})

test('an order that a failure left half done can be carried on, or is put back', async () => {
  const workload = await stocked(10, 10)
  const half = order('1', { s60p0: 3, s60p1: 4 })
  // As it stands when the process died between two steps: written down, and set aside on one shard.
  for (const id of ['1', '2']) {
    await shards[shardOf(id, 2)]!.aside.query(
      `insert into orders (id, user_id, status, product_ids, quantities) values ($1, 'u', 'pending', '{s60p0,s60p1}', '{3,4}')`,
      [id],
    )
    const shard = shards[shardOf('s60p0', 2)]!
    await shard.aside.query(`insert into reservations values ($1, 'reserved', '{s60p0}', '{3}')`, [id])
    await shard.aside.query(`update stock set quantity = quantity - 3 where product_id = 's60p0'`)
  }
  assert.equal(await findOrder(shards, '1'), undefined)
  assert.equal((await placeOrder(shards, half)).status, 'accepted')
  assert.equal(await settlePending(shards), 1)
  assert.deepEqual([await stockOf('s60p0'), await stockOf('s60p1')], [7, 6])
  const { orders, stock } = await readBack(shards, workload)
  assert.deepEqual(orders, { stored: 1, duplicated: 0, refused: 1, pending: 0 })
  assert.equal(stock.unbalanced, 0)
})

test('an order that lies on two shards and one that lost a line are found by the read-back', async () => {
  const workload = await stocked(10, 10)
  await placeOrder(shards, order('1', { s60p0: 3, s60p1: 4 }))
  const home = shardOf('1', 2)
  await shards[home]!.aside.query("delete from order_lines where order_id = '1' and product_id = 's60p0'")
  await shards[1 - home]!.aside.query(
    "insert into orders (id, user_id, status, product_ids, quantities) values ('1', 'u', 'accepted', '{s60p0}', '{3}')",
  )
  const { orders, stock } = await readBack(shards, workload)
  assert.deepEqual([orders.stored, orders.duplicated, stock.unbalanced], [1, 1, 1])
})

test('whatever SQL changes the stock, its version grows', async () => {
  await stocked(10)
  const shard = shards[shardOf('s60p0', 2)]!
  const version = async () =>
    BigInt((await shard.aside.query<{ version: string }>(`select version from stock where product_id = 's60p0'`)).rows[0]!.version)
  const before = await version()
  await placeOrder(shards, order('1', { s60p0: 1 }))
  assert.ok((await version()) > before)
})

test('the database itself refuses a negative stock', async () => {
  await stocked(1)
  await assert.rejects(
    shards[shardOf('s60p0', 2)]!.aside.query(`update stock set quantity = -1 where product_id = 's60p0'`),
    /check constraint/,
  )
})

test('a schema that is there already is not touched', async () => {
  await assert.rejects(
    createSchema(shards[0]!, 'postgres://u:secret@h/d'),
    /a database without a schema ringtail_shop, but got: postgres:\/\/u:…@h\/d/,
  )
})
