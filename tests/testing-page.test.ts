import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const page = readFileSync(new URL('../docs/testing.md', import.meta.url), 'utf8')
const examples = [...page.matchAll(/```ts\n(import [\s\S]*?)```/g)].map(([, code]) => code!)

/** What it says on the way out, and its exit code. */
async function run(code: string): Promise<{ said: string; exit: number | null }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, ['--conditions=ringtail-source', '--input-type=module-typescript', '-'], { cwd: root, env })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (said += bytes))
  child.stdin.end(code)
  const [exit] = await once(child, 'close')
  return { said, exit }
}

describe('the page about testing', () => {
  test('has an example of each thing', () => {
    assert.ok(examples.length >= 5)
    for (const name of ['FakeClock', 'flakyNode', 'flakyStore', 'startToxicProxy', 'checkHistory', 'storeConformance'])
      assert.ok(
        examples.some((code) => code.includes(name)),
        name,
      )
  })

  for (const code of examples) {
    const fact = /test\('(.*)'/.exec(code)?.[1] ?? 'the suite'
    test(`its example passes: ${fact}`, { timeout: 60_000 }, async () => {
      const { said, exit } = await run(code)
      assert.equal(exit, 0, said)
      assert.match(said, /pass [1-9]/)
    })
  }
})
