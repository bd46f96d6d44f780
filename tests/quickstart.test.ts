import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startRedisServer } from '../src/testing/redis-server.ts'

const root = new URL('../', import.meta.url)
const file = new URL('examples/quickstart.ts', root)

test('the README shows the quickstart as it stands', async () => {
  const [readme, code] = await Promise.all([readFile(new URL('README.md', root), 'utf8'), readFile(file, 'utf8')])
  assert.ok(readme.includes(`\`\`\`ts\n${code}\`\`\``))
})

test('the quickstart runs on three servers and says what it promises', async () => {
  const servers = await Promise.all([startRedisServer(), startRedisServer(), startRedisServer()])
  try {
    const urls = servers.map((server) => server.url)
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=ringtail-source', file.pathname, ...urls])
    assert.equal(stderr.replaceAll(/.*ExperimentalWarning.*\n.*--trace-warnings.*\n/g, ''), '')
    assert.match(stdout, /\{ name: 'Wireless Mouse', price: 19.99, stock: 6 \}/)
    assert.match(stdout, /Map\(1\)/)
    assert.match(stdout, /2 hits/)
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
})
