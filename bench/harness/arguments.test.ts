import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions, UsageError } from './arguments.ts'

const KNOWN = ['hits-1', 'hits-256', 'writes-256']
const PLAIN = { json: false, quick: false, write: undefined, from: undefined }

test('without options everything runs', () => {
  assert.deepEqual(parseOptions([], KNOWN), { ...PLAIN, chosen: KNOWN })
})

test('--only takes whole names and first words, and keeps the order of the workloads', () => {
  assert.deepEqual(parseOptions(['--only', 'writes-256', '--only', 'hits-1'], KNOWN), {
    ...PLAIN,
    chosen: ['hits-1', 'writes-256'],
  })
  assert.deepEqual(parseOptions(['--only', 'hits', '--json', '--quick'], KNOWN), {
    ...PLAIN,
    chosen: ['hits-1', 'hits-256'],
    json: true,
    quick: true,
  })
})

test('a name that is none is refused with those that are', () => {
  assert.throws(() => parseOptions(['--only', 'hits-2'], KNOWN), {
    name: 'UsageError',
    message: /hits-1, hits-256, writes-256.*got: "hits-2"/,
  })
  assert.throws(() => parseOptions(['--only', ''], KNOWN), UsageError)
})

test('an unknown option, one without its value and a stray word are refused', () => {
  for (const args of [['--fast'], ['--only'], ['--json=yes'], ['hits-1']]) assert.throws(() => parseOptions(args, KNOWN), UsageError)
})

test('what was measured can be written, or written from an earlier report, but not out of a smoke run', () => {
  assert.deepEqual(parseOptions(['--write', 'docs'], KNOWN), { ...PLAIN, chosen: KNOWN, write: 'docs' })
  assert.deepEqual(parseOptions(['--write', 'docs', '--from', 'a.json'], KNOWN), { ...PLAIN, chosen: KNOWN, write: 'docs', from: 'a.json' })
  for (const args of [
    ['--write', 'docs', '--quick'],
    ['--from', 'a.json', '--quick'],
    ['--from', 'a.json', '--only', 'hits-1'],
  ]) {
    assert.throws(() => parseOptions(args, KNOWN), UsageError)
  }
})

test('--help is answered whatever else is asked', () => {
  assert.equal(parseOptions(['--json', '--help'], KNOWN), 'help')
})
