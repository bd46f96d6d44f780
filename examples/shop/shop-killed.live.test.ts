import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertNothingLeftSoon, assertWhole, MAIN, processesNaming, run, runAs } from '../../tests/support/shop-run.ts'
import type { Report } from './report/report.ts'

const LATER_THAN_THE_SAME_KEY_MS = 700

test('killed outright while it runs, it leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '50')
  await shop.said('00:05')
  shop.child.kill('SIGKILL')
  await shop.ended
  await assertNothingLeftSoon(shop)
})

test('a second Ctrl-C, while the first is being followed, ends it at once and leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '50')
  await shop.said('00:05')
  // Shoppers that do not answer any more: the orderly stop waits for them, and the second Ctrl-C comes in the middle of it.
  const shoppers = processesNaming(shop.folder).find(({ command }) => command.includes('shopper-process'))
  process.kill(Number(shoppers!.pid), 'SIGSTOP')
  shop.child.kill('SIGINT')
  await sleep(LATER_THAN_THE_SAME_KEY_MS)
  shop.child.kill('SIGINT')
  const { code, stderr } = await shop.ended
  assert.equal(code, 130, stderr)
  assert.doesNotMatch(stderr, /left to stop/)
  await assertNothingLeftSoon(shop)
})

test('when the process that started it is killed, it ends as if told to, and leaves nothing behind', async (t) => {
  const shop = runAs(t, [
    '/bin/sh',
    '-c',
    '"$@"; exit $?',
    'sh',
    process.execPath,
    '--conditions=ringtail-source',
    MAIN,
    '--json',
    '--rate',
    '50',
  ])
  await shop.said('00:05')
  shop.child.kill('SIGKILL')
  const { stdout, stderr } = await shop.ended
  assertWhole(JSON.parse(stdout) as Report)
  assert.doesNotMatch(stderr, /left to stop/)
  await assertNothingLeftSoon(shop)
})
