import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KillGround, STEPS } from './journal/kills.ts'
import { traceSyncs, whyNoStrace } from './journal/syncs.ts'

/** A part of `npm run journal -- kills`, and of `-- syncs`. */

test('a process that writes behind and is killed loses nothing that it had acknowledged, nor does it come twice or over something newer', {
  timeout: 110_000,
}, async (t) => {
  const ground = await KillGround.prepare(1)
  try {
    for (let nth = 0; nth < 3; nth++) await ground.killAtRandom()
    for (const step of STEPS.filter((each) => each.endsWith(':after'))) assert.ok(await ground.killAt(step, 2), `it came to ${step}`)
    await ground.killTwoAtRandom()
    assert.ok((await ground.writeWithoutDatabase(1_000)) > 10)
    const { kills, acknowledged, recorded, wrong } = await ground.judge()
    t.diagnostic(`${kills} kills, ${acknowledged} acknowledged, ${recorded} changes of rows`)
    assert.deepEqual(wrong, [])
    assert.ok(acknowledged > 100, `${acknowledged} acknowledged`)
  } finally {
    await ground.stop()
  }
})

test('an acknowledgement waits for the sync of its group, a sync that fails ends them, and a kill at any call loses none', {
  timeout: 110_000,
}, async (t) => {
  const missing = whyNoStrace()
  if (missing !== undefined) {
    t.diagnostic(`not shown on this machine: ${missing}`)
    return
  }
  const { acknowledged, syncs, killedAt, wrong } = await traceSyncs(3)
  t.diagnostic(`${acknowledged} acknowledged by ${syncs} syncs, killed at ${killedAt} calls`)
  assert.deepEqual(wrong, [])
  assert.ok(syncs > 3 && killedAt > 3)
})
