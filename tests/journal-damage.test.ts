import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { cutEverywhere, flipBits } from './journal/damage.ts'

/** A part of `npm run journal -- damage`. */

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'ringtail-damage-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

test('a journal that was cut opens with a prefix of what was written, or says that it is damaged', (t) => {
  const { whole, prefix, refused, wrong } = cutEverywhere(folder(t), 997)
  assert.deepEqual(wrong, [])
  assert.ok(prefix > 20 && refused > 5, `${whole} whole, ${prefix} a prefix, ${refused} refused`)
})

test('a journal of which a bit was flipped opens with a prefix of what was written, or says that it is damaged', (t) => {
  const { whole, prefix, refused, wrong } = flipBits(folder(t), 200, 3)
  assert.deepEqual(wrong, [])
  assert.ok(whole + prefix > 20 && refused > 10, `${whole} whole, ${prefix} a prefix, ${refused} refused`)
})
