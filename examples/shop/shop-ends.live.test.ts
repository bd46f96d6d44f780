import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertNothingLeft, assertWhole, run } from '../../tests/support/shop-run.ts'
import type { Report } from './report/report.ts'

test('Ctrl-C while it runs ends it with its report, and leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '100')
  await shop.said('00:05')
  shop.child.kill('SIGINT')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  assertWhole(JSON.parse(stdout) as Report)
  assertNothingLeft(shop)
})

for (const [signal, code, moment] of [
  ['SIGINT', 130, 'generated reads and orders'],
  ['SIGTERM', 143, 'databases'],
] as const) {
  test(`${signal} in the middle of start-up ends it with ${code} and leaves nothing behind`, async (t) => {
    const shop = run(t, '--json')
    await shop.said(moment)
    shop.child.kill(signal)
    const ended = await shop.ended
    assert.equal(ended.code, code, ended.stderr)
    assert.equal(ended.stdout, '')
    assert.match(ended.stderr, /^stopped$/m)
    assertNothingLeft(shop)
  })
}
