import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions, UsageError } from './arguments.ts'

test('the command line is judged before anything runs', () => {
  assert.deepEqual(parseOptions(['--only-seed', '42', '--trace']), {
    from: 42,
    seeds: 1,
    bug: undefined,
    trace: true,
    shrink: false,
    json: false,
  })
  assert.equal(parseOptions(['--help']), 'help')
  for (const wrong of [['--seeds', 'many'], ['--seeds', '0'], ['--bug', 'none'], ['--only-seed', '1', '--from', '2'], ['--nonsense']])
    assert.throws(() => parseOptions(wrong), UsageError)
})
