import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SETTLED_AFTER_MS } from './cluster/unsettled.ts'
import { createTier } from './create-tier.ts'
import { ConfigurationError } from './errors.ts'
import { memoryNode } from './node/memory-node.ts'
import type { CacheNode, Change, Status, StatusReceiver } from './node/node.ts'
import { MAX_WRITES, Session } from './session.ts'
import { memoryStore } from './store/memory-store.ts'
import { cacheAside } from './strategy/cache-aside.ts'
import { writeThrough } from './strategy/write-through.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { seededRandom } from './testing/seeded-random.ts'
import { versionAt } from './version-clock.ts'

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a session demands of each key the newest version that it wrote, and nothing of others', () => {
  const session = new Session(new FakeClock())
  session.wrote('a', 5n)
  session.wrote('a', 3n)
  session.wrote('b', 7n)
  assert.deepEqual(session.demands('a'), { version: 5n, careful: false })
  assert.deepEqual(session.demands('b'), { version: 7n, careful: false })
  assert.deepEqual(session.demands('c'), { version: 0n, careful: false })
})

test('a token says all that its session knows, in letters, digits, - and _', () => {
  const clock = new FakeClock()
  const session = new Session(clock)
  assert.equal(session.token(), '')
  assert.equal(new Session(clock, '').token(), '')
  for (let nth = 0; nth < 3; nth++) session.wrote(`k${nth}`, versionAt(clock.now()) + BigInt(nth))
  const token = session.token()
  assert.match(token, /^[\w-]+$/)
  const next = new Session(clock, token)
  assert.equal(next.token(), token)
  for (let nth = 0; nth < 3; nth++) assert.deepEqual(next.demands(`k${nth}`), session.demands(`k${nth}`))
})

test('of more writes than fit a session keeps the newest, and is careful with all other keys for a minute', async () => {
  const clock = new FakeClock()
  const session = new Session(clock)
  const version = versionAt(clock.now())
  for (let nth = 0; nth < 10 * MAX_WRITES; nth++) session.wrote(`k${nth}`, version + BigInt(nth))
  assert.ok(session.token().length <= 1_220)
  const next = new Session(clock, session.token())
  assert.deepEqual(next.demands(`k${10 * MAX_WRITES - 1}`), { version: version + BigInt(10 * MAX_WRITES - 1), careful: false })
  assert.deepEqual(next.demands('k0'), { version: 0n, careful: true })
  await clock.advance(60_000)
  assert.deepEqual(next.demands('k0'), { version: 0n, careful: false })
})

test('a key that is written again and again takes one place', () => {
  const session = new Session(new FakeClock())
  for (let nth = 1; nth <= 1_000; nth++) session.wrote(`k${nth % MAX_WRITES}`, BigInt(nth))
  assert.equal(session.demands('other').careful, false)
})

for (const [name, token] of [
  ['text of other characters', 'a b'],
  ['another format', Buffer.alloc(9, 2).toString('base64url')],
  ['half a write', Buffer.concat([Buffer.of(1), Buffer.alloc(8 + 13)]).toString('base64url')],
  ['too many writes', Buffer.concat([Buffer.of(1), Buffer.alloc(8 + 14 * (MAX_WRITES + 1))]).toString('base64url')],
  ['less than a head', Buffer.of(1).toString('base64url')],
  ['what is no text', 5],
] as const) {
  test(`a session refuses ${name} for a token`, () => {
    assert.throws(
      () => new Session(new FakeClock(), token as string),
      (error) => error instanceof ConfigurationError && /needs what token\(\) of a session returned, but got: /.test(error.message),
    )
  })
}

/** A node that takes no entries while `drops`, and says that it did: what a failover or a lost copy leaves. */
function forgetful(id: string, clock: FakeClock): CacheNode & { drops: boolean } {
  const node = memoryNode({ id, clock })
  const isDropped = (change: Change): boolean => decorated.drops && change.op === 'put' && change.key.startsWith('rt:n:')
  const decorated = Object.assign(Object.create(node) as CacheNode, {
    drops: false,
    change(change: Change, receiver: StatusReceiver) {
      if (isDropped(change)) receiver.settled({ state: 'applied' }, decorated)
      else node.change(change, receiver)
    },
    async apply(changes: readonly Change[]): Promise<Status[]> {
      const kept = changes.filter((change) => !isDropped(change))
      const statuses = await node.apply(kept)
      return changes.map((change) => (isDropped(change) ? { state: 'applied' } : statuses[kept.indexOf(change)]!))
    },
  })
  for (const name of ['get', 'getMany', 'lease', 'run', 'watch', 'scan', 'stats', 'ping', 'close', 'connect'] as const)
    Object.defineProperty(decorated, name, { value: (node[name] as (...args: never[]) => unknown).bind(node) })
  for (const name of ['id', 'zone', 'weight', 'label', 'engine', 'control'] as const)
    Object.defineProperty(decorated, name, { value: node[name] })
  return decorated
}

/** Two processes, and the nodes they share. Who answers a plain read is the key's primary. */
async function twoProcesses() {
  const clock = new FakeClock()
  const nodes = ['a', 'b', 'c'].map((id) => forgetful(id, clock))
  const tiers = await Promise.all([1, 2].map((seed) => createTier({ nodes, clock, random: seededRandom(seed) })))
  const missedBy = async (id: string | undefined, work: () => Promise<unknown>): Promise<void> => {
    const node = nodes.find((each) => each.id === id)!
    node.drops = true
    await work()
    node.drops = false
    // Until then it may be on its way to the first owner yet, and no reader is told.
    await clock.advance(SETTLED_AFTER_MS)
  }
  const close = async () => {
    for (const tier of tiers) await tier.close()
    assert.equal(clock.pendingTimers, 0)
  }
  return { one: tiers[0]!, other: tiers[1]!, clock, missedBy, close }
}

const aside = { strategy: cacheAside<string>(), ttl: '1h', jitter: 0 } as const

test('who wrote in one process reads it in another, though the primary missed the write; who has no session may not', async () => {
  const { one, other, missedBy, close } = await twoProcesses()
  const [written, read] = [one.cache<string>('n', aside), other.cache<string>('n', { ...aside, near: { maxBytes: 65_536 } })]
  await written.set('k', 'old')
  const { node: primary } = await read.getWithOutcome('k')
  await settled()
  assert.equal(await read.get('k'), 'old')
  const session = one.session()
  await missedBy(primary, () => written.set('k', 'new', { session }))
  assert.equal(await written.get('k'), 'old')
  const next = other.session(session.token())
  assert.equal(await read.get('k', { session: next }), 'new')
  assert.deepEqual(Object.fromEntries(await read.getMany(['k'], { session: next })), { k: 'new' })
  assert.equal(await read.getOrSet('k', () => 'loaded', { session: next }), 'new')
  await close()
})

test('who deleted in one process does not read it in another, though the primary missed the delete', async () => {
  const { one, other, missedBy, close } = await twoProcesses()
  const [written, read] = [one.cache<string>('n', aside), other.cache<string>('n', aside)]
  await written.set('k', 'old')
  const { node: primary } = await written.getWithOutcome('k')
  const session = one.session()
  await missedBy(primary, () => written.delete('k', { session }))
  assert.equal(await read.get('k'), 'old')
  assert.equal(await read.get('k', { session: other.session(session.token()) }), undefined)
  await close()
})

test('a session that has forgotten writes asks all owners of the keys that it does not remember', async () => {
  const { one, other, missedBy, close } = await twoProcesses()
  const [written, read] = [one.cache<string>('n', aside), other.cache<string>('n', aside)]
  await written.set('k', 'old')
  const { node: primary } = await written.getWithOutcome('k')
  const session = one.session()
  await missedBy(primary, () => written.set('k', 'new', { session }))
  await written.setMany(
    Array.from({ length: MAX_WRITES }, (_, nth) => [`other${nth}`, 'x'] as const),
    { session },
  )
  assert.equal(await read.get('k'), 'old')
  assert.equal(await read.get('k', { session: other.session(session.token()) }), 'new')
  await close()
})

test('where no owner has what the session wrote the store is asked, past whatever is being loaded', async () => {
  const { one, other, clock, close } = await twoProcesses()
  const store = memoryStore<string>({ rows: [['k', 'old']] })
  const reading = Promise.withResolvers<void>()
  let held = false
  const slow = Object.assign(Object.create(store), {
    load: async (keys: readonly string[]) => {
      const loaded = await store.load(keys)
      if (held) await reading.promise
      return loaded
    },
    save: store.save.bind(store),
    remove: store.remove.bind(store),
    stats: () => store.stats(),
  })
  for (const name of ['name', 'versioned'] as const) Object.defineProperty(slow, name, { value: store[name] })
  const read = other.cache<string>('n', { strategy: writeThrough<string>(slow), ttl: '1h' })
  // So that this process knows of the cache's last delete, and whoever joins a load could share it.
  await read.get('warm')
  await settled()
  await read.get('warm')
  await settled()
  held = true
  const before = read.get('k')
  await settled()
  held = false
  // Saved, and known to the session; none of the nodes has heard of it.
  const session = one.session()
  const [status] = await store.save([{ key: 'k', value: 'new', floor: versionAt(clock.now()) }])
  assert.equal(status!.state, 'saved')
  session.wrote('rt:n:k', (status as { version: bigint }).version)
  const after = read.get('k', { session: other.session(session.token()) })
  await settled()
  reading.resolve()
  assert.equal(await before, 'old')
  await clock.advance(100)
  assert.equal(await after, 'new')
  await close()
})
