/** A file for a test, gone when the test is over. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'

export function temporaryFile(test: TestContext, content: string | Uint8Array, options: { gzip?: boolean } = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-shop-test-'))
  test.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'data')
  writeFileSync(file, options.gzip === true ? gzipSync(content) : content)
  return file
}
