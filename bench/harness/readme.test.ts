import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readmeOf } from './readme.ts'

test("a section's address names the version that is installed", () => {
  assert.match(
    readmeOf('cacheable', 'CacheableMemory - In-Memory Cache'),
    /^https:\/\/www\.npmjs\.com\/package\/cacheable\/v\/[\d.]+#cacheablememory---in-memory-cache$/,
  )
  assert.match(readmeOf('ioredis-6', 'Autopipelining'), /\/package\/ioredis\/v\/6\.[\d.]+#autopipelining$/)
  assert.match(readmeOf('@valkey/valkey-glide', 'Standalone Mode:'), /\/package\/@valkey\/valkey-glide\/v\/[\d.]+#standalone-mode$/)
})

test('a section that is not there, or a package, is told', () => {
  assert.throws(
    () => readmeOf('cacheable', 'Basic usage of old'),
    /^Error: cacheable [\d.]+: its README has no section 'Basic usage of old'$/,
  )
  assert.throws(() => readmeOf('no-such-package', 'Usage'), /no-such-package/)
})
