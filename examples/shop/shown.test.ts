import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadLines } from './data/bad-lines.ts'
import { harmless, shown } from './shown.ts'
import { UsageError } from './usage-error.ts'

const CLEAR_SCREEN = '\u001b[2J\u009b1m\u202e'

test('text from outside is shown in quotes, cut to 60 characters, with nothing that a terminal would obey', () => {
  assert.equal(shown('a"b'), '"a\\"b"')
  assert.equal(shown(CLEAR_SCREEN), '"\\u001b[2J\\u009b1m\\u202e"')
  assert.equal(shown('x'.repeat(500_000)).length, 63)
  assert.equal(harmless(CLEAR_SCREEN), '\\u001b[2J\\u009b1m\\u202e')
})

test('neither a bad line nor a usage error passes on raw bytes or half a megabyte', () => {
  const bad = new BadLines(`file${CLEAR_SCREEN}`)
  bad.add(3, `a number needed, but got ${CLEAR_SCREEN}${'x'.repeat(500_000)}`)
  const error = UsageError.of(`--catalogue ${CLEAR_SCREEN}`, 'products', `${CLEAR_SCREEN}${'x'.repeat(500_000)}`)
  for (const text of [...bad.describe(), bad.shown[0]!.reason, error.message]) {
    assert.ok(text.length < 1_000, `${text.length}`)
    for (const raw of CLEAR_SCREEN.match(/[^[\w]/gu)!) assert.ok(!text.includes(raw))
  }
})
