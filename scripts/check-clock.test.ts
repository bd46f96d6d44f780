import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkClock } from './check-clock.ts'

const at = (path: string, text: string): string[] => checkClock([{ path, text }])

for (const reading of [
  'Date.now()',
  'const now = Date.now',
  'new Date()',
  'new Date',
  'Date()',
  'performance.now()',
  'setTimeout(f, 1)',
  'globalThis.setTimeout(f, 1)',
  'setInterval(f, 1)',
  'setImmediate(f)',
  'f(Math.random)',
  'process.hrtime.bigint()',
  'AbortSignal.timeout(5)',
  "import { setTimeout as sleep } from 'node:timers/promises'",
]) {
  test(`${reading} is found, with its line`, () => {
    const problems = at('src/ring/a.ts', `\n\n${reading}\n`)
    assert.match(problems[0] ?? '', /^src\/ring\/a\.ts:3 uses /)
  })
}

test('a time that is given, a method of a socket and a mention are no readings', () => {
  const text = "new Date(ms)\nsocket.setTimeout(5)\n// Date.now()\nconst s = 'Math.random'\nconst myDate = formatDate(ms)\n"
  assert.deepEqual(at('src/ring/a.ts', text), [])
})

test('the clock itself, testing, tests and what stands outside the library may', () => {
  for (const path of ['src/clock.ts', 'src/testing/redis-server.ts', 'src/ring/a.test.ts', 'bench/main.ts']) {
    assert.deepEqual(at(path, 'Date.now()'), [])
  }
})
