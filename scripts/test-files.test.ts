import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type FileResult, runTestFiles } from './test-files.ts'

const IMPORTS =
  "import { describe, test } from 'node:test'\nimport assert from 'node:assert/strict'\nimport { spawn } from 'node:child_process'\n"

async function runText(text: string, timeoutMs = 30_000): Promise<FileResult> {
  const root = mkdtempSync(join(tmpdir(), 'runner-'))
  try {
    writeFileSync(join(root, 'a.test.mjs'), IMPORTS + text)
    const [result] = await runTestFiles(['a.test.mjs'], { root, timeoutMs })
    return result as FileResult
  } finally {
    rmSync(root, { recursive: true })
  }
}

const names = (result: FileResult): string[] => result.failures.map(({ name }) => name.replace(/ \(line \d+\)$/, ''))

test('tests are counted, subtests too, suites not', async () => {
  const result = await runText("describe('s', () => { test('a', () => {}) })\ntest('b', async (t) => { await t.test('c', () => {}) })")
  assert.deepEqual([result.passed, names(result)], [3, []])
})

test('a failing test is told with its line and the difference', async () => {
  const result = await runText("test('good', () => {})\ntest('bad', () => { assert.deepEqual({ a: 1 }, { a: 2 }) })")
  assert.equal(result.passed, 1)
  assert.equal(result.failures.length, 1)
  assert.equal(result.failures[0]?.name, 'bad (line 5)')
  assert.match(result.failures[0]?.detail ?? '', /a: 2/)
})

test('a test that was passed over has failed', async () => {
  assert.deepEqual(names(await runText("test('a', { skip: true }, () => {})\ntest('b', { todo: true }, () => {})")), ['a', 'b'])
})

test('a test that says that nothing could be measured has neither passed nor failed, and is told of', async () => {
  const result = await runText("test('a', () => {})\ntest('b', (t) => t.skip('not measured: too busy'))\ntest('c', (t) => t.skip('no'))")
  assert.deepEqual([result.passed, names(result)], [1, ['c']])
  assert.deepEqual(result.unmeasured, [{ name: 'b (line 5)', detail: 'too busy' }])
})

test('a file without tests has failed', async () => {
  assert.deepEqual(names(await runText('')), ['has no tests'])
})

test('a file that breaks outside its tests has failed, with what it said', async () => {
  const result = await runText("throw new Error('at the top')")
  assert.deepEqual(names(result), ['ended with exit code 1'])
  assert.match(result.failures[0]?.detail ?? '', /at the top/)
})

test('a file that ends itself in the midst of its tests has failed', async () => {
  const result = await runText(
    "test('good', () => {})\ntest('bad', async () => { await new Promise((resolve) => setTimeout(resolve, 200)); assert.fail() })\nsetTimeout(() => process.exit(0), 50)",
  )
  assert.deepEqual(names(result), ['was broken off before all its tests had ended'])
})

test('a file that does not end is ended, and has failed', async () => {
  const result = await runText("test('a', () => {})\nsetInterval(() => {}, 1000)", 500)
  assert.deepEqual([result.passed, names(result)], [1, ['did not end within 0.5 s']])
})

test('a suite whose hook fails has failed', async () => {
  const result = await runText(
    "import { before } from 'node:test'\ndescribe('s', () => { before(() => { throw new Error('hook') }); test('a', () => {}) })",
  )
  assert.notEqual(result.failures.length, 0)
})

test('a file left in the temporary folder is a failure', async () => {
  const text =
    "import { writeFileSync } from 'node:fs'\nimport { tmpdir } from 'node:os'\ntest('a', () => { writeFileSync(tmpdir() + '/left', '') })"
  const result = await runText(text)
  assert.deepEqual([names(result), result.failures[0]?.detail], [['left something behind'], 'in the temporary folder: left'])
})

test('the condition under which sources are imported reaches the file', async () => {
  assert.deepEqual(names(await runText("test('a', () => { assert.ok(process.execArgv.includes('--conditions=ringtail-source')) })")), [])
})

if (process.platform === 'linux') {
  test('a process left running elsewhere, in a session of its own, is one too', async () => {
    const result = await runText("test('a', () => { spawn('sleep', ['60'], { cwd: '/', detached: true, stdio: 'ignore' }).unref() })")
    assert.deepEqual(names(result), ['left something behind'])
  })

  test('a process left running is a failure, and is ended', async () => {
    const text = "const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })\nchild.unref()\n"
    const result = await runText(`${text}test('a', () => { console.log(child.pid) })`)
    assert.deepEqual(names(result), ['left something behind'])
    const pid = /process (\d+)/.exec(result.failures[0]?.detail ?? '')?.[1]
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '(gone) Z'
    assert.match(stat, /\) Z/)
  })
}
