/**
 * The import rules: which room may know which (DESIGN, "The rooms").
 *
 * Imports point down only. Whoever reads a room needs to know the rooms its row names and no other, and a room can be replaced when its
 * contract is kept. Type imports count: a type is knowledge too. Tests are free; `testing/` and the front door may import everything.
 *
 *     node scripts/check-imports.ts
 */
import { builtinModules } from 'node:module'
import { posix } from 'node:path'
import { findCycles } from './import-cycles.ts'
import { isCode, isTest, placeOf, readSourceFiles, type SourceFile } from './source-files.ts'
import { viewsOf } from './source-text.ts'

/** Known to all rooms; they import one another only. */
export const VOCABULARY: readonly string[] = ['options.ts', 'errors.ts', 'events.ts', 'clock.ts', 'entry.ts', 'queues.ts']

const EVERYTHING = ['*']

/** Room → what it may import of `src/`, beside the vocabulary and itself: `folder/` with all its files, or single files. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'ring/': [],
  'codec/': [],
  'metrics/': [],
  'eviction/': [],
  'version-clock.ts': [],
  'fleet-clock.ts': ['node/node.ts'],
  'turn-clock.ts': [],
  'round-clock.ts': [],
  'rare-telling.ts': [],
  'listener-queue.ts': [],
  'emitter.ts': ['listener-queue.ts'],
  'bounded-call.ts': [],
  'each-prepared.ts': [],
  'node/': ['codec/envelope.ts', 'eviction/'],
  // versions of times: which removals are too old to be remembered.
  'store/': ['version-clock.ts'],
  'resilience/': ['node/node.ts', 'store/store.ts'],
  'cluster/': ['ring/', 'node/node.ts', 'codec/envelope.ts', 'resilience/hedge.ts', 'resilience/hot-keys.ts', 'resilience/retry-budget.ts'],
  'session.ts': [],
  // Their records on nodes; how values are packed it is told.
  'dictionaries/': ['codec/', 'node/node.ts'],
  'cache-codec.ts': ['codec/', 'dictionaries/', 'metrics/', 'node/node.ts'],
  'keyspaces/': ['each-prepared.ts', 'session.ts', 'codec/', 'cluster/cluster.ts'],
  'journal/': [],
  // versions of times: what a deleted row's was at most.
  'strategy/': [
    'bounded-call.ts',
    'each-prepared.ts',
    'version-clock.ts',
    'journal/journal.ts',
    'keyspaces/keyspace.ts',
    'session.ts',
    'store/store.ts',
    'resilience/single-flight.ts',
  ],
  'near/': [
    'cluster/cluster.ts',
    'node/node.ts',
    'codec/key.ts',
    'session.ts',
    'invalidation/invalidation.ts',
    'invalidation/hears-key.ts',
    'eviction/',
  ],
  // Groups' records lie on the nodes as tombstones, under names of their own: hence the envelope, the escaping of keys and versions.
  'invalidation/': ['cluster/cluster.ts', 'node/node.ts', 'codec/envelope.ts', 'codec/key.ts', 'version-clock.ts', 'listener-queue.ts'],
  'caches/': [
    'bounded-call.ts',
    'emitter.ts',
    'session.ts',
    'cluster/cluster.ts',
    'strategy/strategy.ts',
    'near/',
    'invalidation/',
    'metrics/',
  ],
  // What stands below one cache.
  'cache-stack.ts': [
    'caches/cache-options.ts',
    'cluster/',
    'codec/',
    'invalidation/',
    'keyspaces/keyspace.ts',
    'node/node.ts',
    'ring/ring.ts',
    'strategy/strategy.ts',
  ],
  // It follows a database for caches that it is handed; what can be a tag it knows from where tags are kept.
  'capture/': ['store/', 'strategy/strategy.ts', 'metrics/', 'invalidation/group-records.ts'],
  // Looks past everything that serves, at what nodes and stores themselves say.
  'consistency/': ['cluster/cluster.ts', 'node/node.ts', 'codec/', 'invalidation/invalidation.ts', 'store/store.ts'],
  // Decides on rings and carries keys between them; what a copy may be is judged as read repair judges it.
  'topology/': [
    'node/node.ts',
    'ring/',
    'cluster/cluster.ts',
    'cluster/newest.ts',
    'cluster/hint-records.ts',
    'cluster/owner-order.ts',
    'cluster/copy-life.ts',
    'cluster/ring-knowledge.ts',
    'cluster/unsettled.ts',
    'codec/envelope.ts',
    'consistency/pace.ts',
  ],
  'create-tier.ts': EVERYTHING,
  'tier-nodes.ts': EVERYTHING,
  'tier-metrics.ts': EVERYTHING,
  'tier-options.ts': EVERYTHING,
  'node-report.ts': EVERYTHING,
  'kits/': ['index.ts'],
  'adapters/': ['index.ts'],
  'testing/': EVERYTHING,
  'index.ts': EVERYTHING,
}

/** File → what it alone may import beyond its room's row. */
export const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'store/sharding.ts': ['ring/xxh64.ts'],
  // What a cache may be given names all rooms' options.
  'caches/cache-options.ts': ['codec/', 'ring/'],
  // A bus is a link to a Redis server, kept up as those of nodes are.
  'invalidation/redis-bus.ts': ['node/redis-address.ts', 'node/redis-client.ts', 'node/redis-heartbeat.ts', 'node/redis-link.ts'],
  'cluster/redis-cluster.ts': ['node/batcher.ts', 'node/scripts/'],
}

/** Packages of their own beside the library: they know what a user of it knows. */
const OUTSIDERS = ['bench/', 'examples/', 'server/', 'dashboard/']
const PUBLIC_ENTRIES = ['ringtail', 'ringtail/testing']

interface Import {
  readonly offset: number
  readonly specifier: string
  /** Named for another thread or process to start: knowledge of it, but no cycle of loading. */
  readonly isStarted: boolean
}

export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** @returns what is wrong, a line each; empty when all is well */
export function checkImports(files: readonly SourceFile[]): string[] {
  const modules = files.filter((file) => isCode(file.path) && !isTest(file.path))
  const manifest = JSON.parse(files.find((file) => file.path === 'package.json')?.text ?? '{}') as Manifest
  const problems: string[] = []
  const graph = new Map<string, string[]>()
  for (const file of modules) {
    const targets: string[] = []
    for (const { offset, specifier, isStarted } of importsOf(file.text)) {
      const target = specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : specifier
      if (specifier.startsWith('.') && !isStarted) {
        targets.push(target)
      }
      const broken = file.path.startsWith('src/') ? brokenInside(file.path, target, manifest) : brokenOutside(file.path, target)
      if (broken !== undefined) {
        problems.push(`${placeOf(file, offset)} imports ${target}: ${broken}`)
      }
    }
    graph.set(file.path, targets)
  }
  for (const cycle of findCycles(graph)) {
    problems.push(`${cycle[0]} imports itself: ${cycle.join(' → ')}`)
  }
  return problems
}

/** `from '…'`, `import '…'`, `import('…')` as value or type, `require('…')`, and `new URL('…', import.meta.url)` as workers are named. */
const IMPORT = /(?:\bfrom\s*|\bimport\s*(?:\(\s*)?|\brequire\s*\(\s*|\bimport\.meta\.resolve\(\s*)(['"`])([^'"`\n]+)\1/g
const WORKER = /\bnew\s+URL\(\s*(['"])([^'"\n]+\.ts)\1\s*,\s*import\.meta\.url/g

function importsOf(text: string): Import[] {
  const { uncommented, code } = viewsOf(text)
  const found: Import[] = []
  for (const pattern of [IMPORT, WORKER]) {
    for (const match of uncommented.matchAll(pattern)) {
      const isCodeItself = code.slice(match.index, match.index + 4).trim() !== ''
      if (isCodeItself) {
        found.push({ offset: match.index, specifier: match[2]!, isStarted: pattern === WORKER })
      }
    }
  }
  return found
}

/** The rule that an import within the library breaks, if any. */
function brokenInside(path: string, target: string, manifest: Manifest): string | undefined {
  const from = path.slice('src/'.length)
  const room = roomOf(from)
  const row = VOCABULARY.includes(from) ? [] : ROOMS[room]
  if (row === undefined) {
    return `${room} has no row in the table of rooms (scripts/check-imports.ts)`
  }
  const isPublicOnly = row.length === 1 && row[0] === 'index.ts'
  if (!target.startsWith('src/')) {
    return brokenPackage(target, isPublicOnly, manifest)
  }
  const to = target.slice('src/'.length)
  const toRoom = roomOf(to)
  if (toRoom === room && room.endsWith('/')) {
    const isContract = from === contractOf(room)
    return isContract ? `${from} is the contract of ${room} and imports no implementation of it` : undefined
  }
  const allowed = [...(isPublicOnly ? [] : VOCABULARY), ...row, ...(EXCEPTIONS[from] ?? [])]
  const isAllowed = allowed.some((entry) => entry === '*' || entry === to || (entry.endsWith('/') && to.startsWith(entry)))
  if (isAllowed) {
    return undefined
  }
  const named = isPublicOnly || row.length > 0 ? row.join(', ') : 'nothing'
  return isPublicOnly
    ? `${room} may import the public entry only`
    : `${VOCABULARY.includes(from) ? 'the vocabulary' : room} may import, beside the vocabulary: ${named}`
}

function brokenPackage(target: string, isPublicOnly: boolean, manifest: Manifest): string | undefined {
  if (target.startsWith('node:') || builtinModules.includes(target)) {
    return undefined
  }
  if (PUBLIC_ENTRIES.includes(target)) {
    return isPublicOnly ? undefined : 'only kits and adapters see the library from outside'
  }
  if (/^(?:\.\.|bench|examples|scripts|tests|server|dashboard)\//.test(target)) {
    return 'the library knows nothing of what stands around it'
  }
  const name = target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/')
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies }
  return name in declared ? undefined : `${name} is neither a dependency nor a peer dependency of the library`
}

function brokenOutside(path: string, target: string): string | undefined {
  const home = OUTSIDERS.find((folder) => path.startsWith(folder))
  if (home === undefined) {
    return undefined
  }
  if (/^(?:src|dist)\//.test(target) || (target.startsWith('ringtail/') && !PUBLIC_ENTRIES.includes(target))) {
    return `${home} may import the public entries only: ${PUBLIC_ENTRIES.join(', ')}`
  }
  return undefined
}

/** `ring/` of `ring/ketama.ts`; a file at the top is a room of its own. */
function roomOf(path: string): string {
  const slash = path.indexOf('/')
  return slash < 0 ? path : path.slice(0, slash + 1)
}

function contractOf(room: string): string {
  return `${room}${room.slice(0, -1)}.ts`
}

if (import.meta.main) {
  const problems = checkImports(readSourceFiles())
  console.log(problems.join('\n') || 'imports: as the table of rooms says')
  process.exitCode = problems.length === 0 ? 0 : 1
}
