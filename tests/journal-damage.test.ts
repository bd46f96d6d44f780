import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cutEverywhere, flipBits, tearRepeatedly, wipeSectors } from './journal/damage.ts'

/** A part of `npm run journal -- damage`. */

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'ringtail-damage-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

test('a journal that a loss of power tore opens with all that was synced, one process after the other', (t) => {
  const { whole, prefix, wrong } = tearRepeatedly(folder(t), 60, 3)
  assert.deepEqual(wrong, [])
  assert.ok(whole > 3 && prefix > 20, `${whole} whole, ${prefix} without their last group`)
})

test('a log that was cut opens with the groups before the cut, a file that was cut with all of them or not at all', (t) => {
  const { whole, prefix, refused, wrong } = cutEverywhere(folder(t), 1_999)
  assert.deepEqual(wrong, [])
  assert.ok(prefix > 10 && refused > 5, `${whole} whole, ${prefix} a prefix, ${refused} refused`)
})

test('a journal of which a bit was flipped opens with all that was synced but its last group, or says that it is damaged', (t) => {
  const { whole, prefix, refused, wrong } = flipBits(folder(t), 120, 3)
  assert.deepEqual(wrong, [])
  assert.ok(refused > 50, `${whole} whole, ${prefix} a prefix, ${refused} refused`)
})

test('a journal of which a sector is gone does so too', (t) => {
  const { whole, prefix, refused, wrong } = wipeSectors(folder(t), 60, 4)
  assert.deepEqual(wrong, [])
  assert.ok(refused > 20, `${whole} whole, ${prefix} a prefix, ${refused} refused`)
})
