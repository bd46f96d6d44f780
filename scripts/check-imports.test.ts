import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkImports, EXCEPTIONS, ROOMS, VOCABULARY } from './check-imports.ts'
import { readSourceFiles } from './source-files.ts'

/** The problems of a tree given as path → text. */
function check(tree: Record<string, string>): string[] {
  const manifest = JSON.stringify({ dependencies: { 'xxhash-wasm': '1' }, peerDependencies: { ioredis: '6' } })
  return checkImports(Object.entries({ 'package.json': manifest, ...tree }).map(([path, text]) => ({ path, text })))
}

test('a tree that follows the table has no problems', () => {
  const tree = {
    'src/index.ts': "export { createTier } from './create-tier.ts'",
    'src/create-tier.ts': "import { redisNode } from './node/redis-node.ts'",
    'src/node/node.ts': "import type { Version } from '../entry.ts'",
    'src/node/redis-node.ts':
      "import Redis from 'ioredis'\nimport type { CacheNode } from './node.ts'\nimport { x } from '../codec/envelope.ts'",
    'src/store/sharding.ts': "import { xxh64 } from '../ring/xxh64.ts'",
    'src/ring/ring.test.ts': "import { postgresStore } from '../store/postgres-store.ts'\nimport fc from 'fast-check'",
    'src/testing/index.ts': "import { memoryNode } from '../node/memory-node.ts'\nimport { test } from 'node:test'",
    'src/kits/cart.ts': "import { createTier } from '../index.ts'\nimport type { Tier } from 'ringtail'",
    'examples/shop/main.ts':
      "import { createTier } from 'ringtail'\nimport { seeded } from 'ringtail/testing'\nimport { options } from './options.ts'",
  }
  assert.deepEqual(check(tree), [])
})

test('an import upwards is found, with file, line and the rule', () => {
  const text = "// one\nimport { a } from '../entry.ts'\n\nimport { ringCluster } from '../cluster/ring-cluster.ts'\n"
  assert.deepEqual(check({ 'src/node/memory-node.ts': text }), [
    'src/node/memory-node.ts:4 imports src/cluster/ring-cluster.ts: node/ may import, beside the vocabulary: codec/envelope.ts, eviction/',
  ])
})

for (const [form, text] of [
  ['a type import', "import type { Cluster } from '../cluster/cluster.ts'"],
  ['an import type in braces', "import { type Cluster } from '../cluster/cluster.ts'"],
  ['an import over several lines', "import {\n  a,\n  b,\n} from '../cluster/cluster.ts'"],
  ['a re-export', "export * from '../cluster/cluster.ts'"],
  ['an import for its effect', "import '../cluster/cluster.ts'"],
  ['a dynamic import', "const c = await import('../cluster/cluster.ts')"],
  ['a type taken by import()', "let c: import('../cluster/cluster.ts').Cluster"],
  ['a worker', "new Worker(new URL('../cluster/cluster.ts', import.meta.url))"],
] as const) {
  test(`${form} is an import`, () => {
    assert.equal(check({ 'src/ring/ketama.ts': text }).length, 1)
  })
}

test('an import in a comment or in a string is none', () => {
  const text = "// import '../cluster/cluster.ts'\nconst s = \"import '../cluster/cluster.ts'\"\n/* from '../cache.ts' */"
  assert.deepEqual(check({ 'src/ring/ketama.ts': text }), [])
})

test('a contract that imports its implementation is found', () => {
  assert.match(check({ 'src/node/node.ts': "import { b } from './batcher.ts'" }).join(), /contract of node\/ and imports no implementation/)
})

test('the vocabulary imports only itself', () => {
  assert.deepEqual(check({ 'src/events.ts': "import { a } from './errors.ts'" }), [])
  assert.match(check({ 'src/events.ts': "import type { CacheNode } from './node/node.ts'" }).join(), /the vocabulary may import/)
})

test('an exception holds for its file alone', () => {
  assert.equal(check({ 'src/store/memory-store.ts': "import { xxh64 } from '../ring/xxh64.ts'" }).length, 1)
})

test('a room without a row is found', () => {
  assert.match(check({ 'src/attic/a.ts': "import '../clock.ts'" }).join(), /attic\/ has no row/)
})

test('a package that the library does not declare is found', () => {
  assert.match(check({ 'src/codec/json.ts': "import _ from 'lodash/get'" }).join(), /lodash is neither a dependency/)
  assert.match(check({ 'src/codec/json.ts': "import _ from '@a/b/c'" }).join(), /@a\/b is neither a dependency/)
})

test('the library does not import what stands around it', () => {
  assert.match(check({ 'src/clock.ts': "import '../scripts/test.ts'" }).join(), /knows nothing of what stands around it/)
})

test('kits and adapters see the public entry only', () => {
  assert.match(check({ 'src/kits/cart.ts': "import '../keyspace.ts'" }).join(), /kits\/ may import the public entry only/)
  assert.match(check({ 'src/kits/cart.ts': "import '../errors.ts'" }).join(), /kits\/ may import the public entry only/)
})

test('examples and benchmarks see the public entries only', () => {
  for (const specifier of ['../../src/cache.ts', 'ringtail/dist/cache.js', 'ringtail/src/cache.ts']) {
    assert.match(check({ 'examples/shop/main.ts': `import '${specifier}'` }).join(), /public entries only/)
  }
})

test('a cycle is found once, as its path', () => {
  const tree = {
    'src/ring/b.ts': "import './c.ts'",
    'src/ring/c.ts': "import type { A } from './a.ts'",
    'src/ring/a.ts': "import './b.ts'",
    'src/ring/d.ts': "import './a.ts'",
  }
  assert.deepEqual(check(tree), ['src/ring/a.ts imports itself: src/ring/a.ts → src/ring/b.ts → src/ring/c.ts → src/ring/a.ts'])
})

test('a worker that imports from the file that starts it makes no cycle', () => {
  const tree = {
    'bench/start.ts': "new Worker(new URL('./worker.ts', import.meta.url))",
    'bench/worker.ts': "import type { Task } from './start.ts'",
  }
  assert.deepEqual(check(tree), [])
})

test('every file and row the table names is written as files are', () => {
  const names = [...VOCABULARY, ...Object.keys(ROOMS), ...Object.values(ROOMS).flat(), ...Object.values(EXCEPTIONS).flat()]
  for (const name of names.filter((name) => name !== '*')) {
    assert.match(name, /^[a-z\d-]+(?:\/(?:[a-z\d-]+(?:\.ts|\/))?|\.ts)$/)
  }
})

test('every room of the library has a row', () => {
  const rooms = readSourceFiles().flatMap(({ path }) => /^src\/([^/]+(?:\/|$))/.exec(path)?.[1] ?? [])
  for (const room of rooms.filter((room) => room.endsWith('/') || /^(?!.*\.test\.).*\.ts$/.test(room))) {
    assert.ok(room in ROOMS || VOCABULARY.includes(room), `no row for ${room}`)
  }
})
