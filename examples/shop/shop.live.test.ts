import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertNothingLeft, assertWhole, MAIN, run } from '../../tests/support/shop-run.ts'
import type { Report } from './report/report.ts'

test('the shop runs on its own, tells one JSON object on stdout, and leaves nothing behind', async (t) => {
  const shop = run(t, '--for', '3s', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assertWhole(report)
  assert.equal(report.nodes.length, 5)
  assert.equal(report.shards.length, 3)
  assert.deepEqual(
    report.captures.map(({ mode, losses }) => [mode, losses]),
    Array(3).fill(['replication', 0]),
  )
  const told = report.captures.reduce((sum, { changes }) => sum + changes, 0)
  assert.ok(told > 0 || report.orders.accepted === 0, `${told} changes of stock told`)
  assert.deepEqual(report.catalogue, { products: 5_000, rejected: 0, generated: 5_000 })
  assertNothingLeft(shop)
})

test('at a low rate it keeps to it, and does not wait for its shoppers to end', async (t) => {
  const shop = run(t, '--for', '4s', '--rate', '5', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assert.ok(report.requests.total >= 10 && report.requests.total <= 22, `${report.requests.total}`)
  assert.ok(report.seconds < 8)
})

test('when nobody listens any more it ends without a word', async (t) => {
  const shop = run(t, '--rate', '50')
  shop.child.stdout?.destroy()
  const { code, stderr } = await shop.ended
  assert.equal(code, 141, stderr)
  assertNothingLeft(shop)
})

test('a wrong option or file ends it with 2 and one clear message, before or after things were started', async (t) => {
  const wrong: [args: string[], told: RegExp][] = [
    [['--rate', 'fast'], /^--rate: needs requests per second/],
    [['--catalogue', '/no/such/file'], /^--catalogue: needs a file that can be read, but got: \/no\/such\/file \(there is no such file\)/m],
    [['--reads', MAIN], /--reads .*: needs CSV with the header "type,id,idx" or "key"/],
    [['--database', 'postgres://127.0.0.1:1/none'], /--database: needs databases that answer/],
    [['--nodes', 'redis://127.0.0.1:1', '--replicas', '1'], /--nodes: needs nodes that answer/],
  ]
  for (const [args, told] of wrong) {
    const shop = run(t, ...args, '--json')
    const { code, stdout, stderr } = await shop.ended
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, told)
    assert.doesNotMatch(stderr, / {4}at /)
    assertNothingLeft(shop)
  }
})
