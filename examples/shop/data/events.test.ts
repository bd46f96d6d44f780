import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../usage-error.ts'
import { readEvents } from './events.ts'
import { temporaryFile } from './temporary-file.ts'

const HEADER = 'ts,op,invoice,sku,qty,unit_price,customer_id,country'

test('an invoice is an order: its lines of one SKU are one, cancellations and adjustments are counted and left out', async (t) => {
  const file = temporaryFile(
    t,
    [
      HEADER,
      '1291191960,sale,536365,85123A,6,2.55,17850,United Kingdom',
      '1291191960,sale,536365,71053,6,3.39,17850,United Kingdom',
      '1291192080,sale,536366,22633,1,1.85,,France',
      '1291191960,sale,536365,85123A,2,2.55,17850,United Kingdom',
      '1291196460,cancel,C536379,22633,-1,27.5,14527,United Kingdom',
      '1291204320,adjust,536414,22139,56,0,,United Kingdom',
    ].join('\n'),
  )
  const { orders, skus, customers, lines, bad } = await readEvents(file)
  assert.deepEqual(orders.ids, ['536365', '536366'])
  assert.deepEqual(skus, ['85123A', '71053', '22633'])
  assert.deepEqual([...orders.start], [0, 2, 3])
  assert.deepEqual([...orders.item], [0, 1, 2])
  assert.deepEqual([...orders.quantity], [8, 6, 1])
  assert.deepEqual([...orders.customer], [0, -1])
  assert.deepEqual(customers, [{ id: '17850', country: 'United Kingdom' }])
  assert.deepEqual(lines, { sales: 4, cancellations: 1, adjustments: 1 })
  assert.equal(bad.count, 0)
})

test('lines that cannot be are told with number and reason, and skipped', async (t) => {
  const good = '1,sale,1,A,1,1,,UK'
  const wrong = [
    '1,sale,1,A,0,1,,UK',
    '1,steal,1,A,1,1,,UK',
    'x,sale,1,A,1,1,,UK',
    '1,sale,1,A,1.5,1,,UK',
    '1,sale',
    '1,sale,../1,A,1,1,,UK',
  ]
  const { bad, lines } = await readEvents(temporaryFile(t, [HEADER, good, ...wrong, good].join('\n'), { gzip: true }))
  assert.equal(lines.sales, 2)
  assert.equal(bad.count, wrong.length)
  assert.deepEqual(
    bad.shown.map(({ line }) => line),
    [3, 4, 5, 6, 7],
  )
})

test('another header or a log without a sale is a usage error', async (t) => {
  await assert.rejects(readEvents(temporaryFile(t, 'key\n1\n')), UsageError)
  await assert.rejects(readEvents(temporaryFile(t, `${HEADER}\n`)), UsageError)
})
