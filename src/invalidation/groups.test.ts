import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { entry, GroupProcess, memoryNodes, type ProcessOptions } from '../testing/group-fleet.ts'
import { SKEW_MS } from './groups.ts'

const tag = (name: string) => ({ kind: 'tag', name }) as const
const ALL = [{ kind: 'all' }] as const
const GEN = 'rt:!group:c:all'
const TAG_T = 'rt:!group:c:tag:t'

interface Fleet {
  readonly clock: FakeClock
  readonly nodes: CacheNode[]
  process(options?: ProcessOptions): Promise<GroupProcess>
}

async function fleet(count = 5, startMs?: number): Promise<Fleet> {
  const clock = new FakeClock(startMs)
  const nodes = await memoryNodes(count, clock)
  return {
    clock,
    nodes,
    process: async (options) => {
      const started = new GroupProcess(nodes, clock, options)
      await clock.settle()
      return started
    },
  }
}

test('an entry of a cache whose groups were never deleted is current, and asked about once', async () => {
  const { clock, process } = await fleet()
  const one = await process()
  const written = await one.write()
  await clock.settle()
  assert.equal(await one.judge(written), true)
  const { asked } = one
  for (let nth = 0; nth < 100; nth++) assert.equal(one.groups.isCurrent(written, `k${nth}`), true)
  assert.equal(one.asked, asked)
})

test('a tag that is deleted takes its entries with it, at once here and one push later elsewhere', async () => {
  const { clock, process } = await fleet()
  const [here, there] = [await process(), await process()]
  const [tagged, other] = [await here.write(['t', 'u']), await here.write(['u'])]
  await clock.settle()
  for (const each of [here, there]) assert.equal((await each.judge(tagged)) && (await each.judge(other)), true)
  assert.deepEqual(await here.groups.raise([tag('t')]), { state: 'applied' })
  assert.equal(await here.judge(tagged), false)
  await clock.settle()
  assert.equal(await there.judge(tagged), false)
  assert.equal(await there.judge(other), true)
})

test('clear takes all entries, a namespace those whose keys begin with it', async () => {
  const { clock, process } = await fleet()
  const one = await process({ separator: ':' })
  const keys = ['a:1', 'a:b:2', 'b:1', 'plain']
  const entries = await Promise.all(keys.map((key) => one.write([], key)))
  const judge = () => Promise.all(keys.map((key, at) => one.judge(entries[at]!, key)))
  await clock.settle()
  await one.groups.raise([{ kind: 'ns', name: 'a' }])
  assert.deepEqual(await judge(), [false, false, true, true])
  await one.groups.raise(ALL)
  assert.deepEqual(await judge(), [false, false, false, false])
  assert.throws(() => new GroupProcess([...one.cluster.nodes], clock).groups.raise([{ kind: 'ns', name: 'a' }]), ConfigurationError)
})

test('what begins after a delete was heard of is current at once, although the delete is dated ahead', async () => {
  const { clock, process } = await fleet()
  const [here, there] = [await process(), await process()]
  await here.write(['t'])
  await clock.settle()
  await there.judge(entry(clock.now(), ['t']))
  await here.groups.raise([tag('t')])
  await clock.settle()
  await there.judge(entry(clock.now(), ['t']))
  for (const each of [here, there]) {
    const written = await each.write(['t'])
    await clock.settle()
    assert.equal(await here.judge(written), true)
    assert.equal(await there.judge(written), true)
  }
})

test('a load that began before a delete and ends after it leaves nothing current', async () => {
  const { clock, process } = await fleet()
  const [loader, deleter] = [await process({ skewMs: SKEW_MS - 1 }), await process()]
  await loader.write(['t'])
  const begunMs = loader.groups.nowMs()
  await deleter.groups.raise([tag('t')])
  await clock.settle()
  assert.equal(await loader.groups.prepare(['t'], 'k', begunMs), false)
  for (const each of [loader, deleter]) assert.equal(await each.judge(entry(begunMs, ['t'])), false)
})

test('a process that has not heard of a delete makes nothing that looks younger to those who have', async () => {
  const { clock, process } = await fleet()
  const [deaf, deleter] = [await process({ skewMs: SKEW_MS - 1 }), await process()]
  await deaf.write(['t'])
  await clock.settle()
  await deaf.judge(entry(clock.now(), ['t']))
  deaf.holdPushes()
  // Read from the database before the row was changed and the tag deleted.
  const begunMs = deaf.groups.nowMs()
  await deleter.groups.raise([tag('t')])
  assert.equal(await deaf.groups.prepare(['t'], 'k', begunMs), true, 'it does not know')
  assert.equal(await deleter.judge(entry(begunMs, ['t'])), false)
  deaf.releasePushes()
  assert.equal(await deaf.judge(entry(begunMs, ['t'])), false)
})

test('an entry begun between two deletes by one who had heard of the first is not current after the second', async () => {
  const { clock, process } = await fleet()
  // The first deleter's clock is ahead of the second's, who has not heard of the first delete when it makes its own.
  const [first, second, between] = [await process({ skewMs: 900 }), await process(), await process()]
  await between.write(['t', 'u'])
  await clock.settle()
  second.holdPushes()
  await first.groups.raise([tag('t')])
  await clock.settle()
  assert.equal(await between.judge(entry(clock.now(), ['t', 'u'])), false)
  const begun = await between.write(['t', 'u'])
  await second.groups.raise([tag('u')])
  await clock.settle()
  assert.equal(await between.judge(begun), false)
  second.releasePushes()
  assert.equal(await second.judge(begun), false)
})

test('a record that changes while it is read is not kept', async () => {
  const { clock, process } = await fleet()
  const [reader, deleter] = [await process(), await process()]
  const old = await deleter.write(['t'])
  await clock.settle()
  reader.holdReads()
  const learning = reader.groups.learn([{ entry: old, key: 'k' }])
  await clock.settle()
  await deleter.groups.raise([tag('t')])
  await clock.settle()
  reader.releaseReads()
  await learning
  assert.equal(reader.groups.isCurrent(old, 'k'), undefined)
  assert.equal(await reader.judge(old), false)
})

test('who would hear nothing asks before each judgement, and one owner that is silent does not make it so', async () => {
  const { clock, process } = await fleet()
  const [reader, deleter] = [await process(), await process()]
  const written = await deleter.write()
  await clock.settle()
  const [first, second] = reader.ownersOf(GEN)
  first!.deafen()
  assert.equal(await reader.judge(written), true)
  assert.equal(reader.groups.isCurrent(written, 'k'), true, 'two of three owners are heard, and a delete is acknowledged by two')
  second!.deafen()
  assert.equal(reader.groups.isCurrent(written, 'k'), undefined)
  assert.equal(await reader.judge(written), true)
  assert.equal(reader.groups.isCurrent(written, 'k'), undefined)
  await deleter.groups.raise(ALL)
  assert.equal(await reader.judge(written), false)
  second!.mend()
  await reader.judge(written)
  assert.equal(reader.groups.isCurrent(written, 'k'), false)
})

test('at level one every owner has to be heard, at level all one of them', async () => {
  for (const [writes, silent] of [
    ['one', 0],
    ['all', 2],
  ] as const) {
    const { clock, process } = await fleet()
    const one = await process({ writes })
    const written = await one.write()
    await clock.settle()
    for (const [nth, owner] of one.ownersOf(GEN).entries()) {
      await one.judge(written)
      assert.equal(one.groups.isCurrent(written, 'k'), nth <= silent ? true : undefined, `${nth} silent, ${writes}`)
      owner.deafen()
    }
  }
})

test('an answer of so few owners that they may all have missed a delete is not kept', async () => {
  const { clock, process } = await fleet()
  const [reader, deleter] = [await process(), await process()]
  const written = await deleter.write(['t'])
  await clock.settle()
  // The one owner that still answers the reader missed the delete, which the reader was told of by the others.
  const [first, second, third] = deleter.ownersOf(TAG_T)
  first!.cut()
  await deleter.groups.raise([tag('t')])
  await clock.settle()
  for (const owner of [second!, third!]) reader.views.find(({ id }) => id === owner.id)!.answering = false
  await reader.judge(written)
  for (const owner of [second!, third!]) reader.views.find(({ id }) => id === owner.id)!.answering = true
  assert.equal(await reader.judge(written), false)
})

test('a question that began before a delete does not answer one that begins after it, where nothing is heard', async () => {
  const { clock, process } = await fleet()
  const [reader, deleter] = [await process(), await process()]
  const written = await deleter.write()
  await clock.settle()
  for (const view of reader.views) view.deafen()
  reader.holdReads()
  const before = reader.judge(written)
  await clock.settle()
  await deleter.groups.raise(ALL)
  const after = reader.judge(written)
  await clock.settle()
  reader.releaseReads()
  assert.equal(await before, true)
  assert.equal(await after, false)
})

test('the latest record counts, whichever owner has it, and the others are given it', async () => {
  for (const lacking of [0, 1, 2]) {
    const { clock, process, nodes } = await fleet()
    const [deleter, reader] = [await process(), await process()]
    const written = await reader.write(['t'])
    await clock.settle()
    deleter.ownersOf(TAG_T)[lacking]!.cut()
    assert.deepEqual(await deleter.groups.raise([tag('t')]), { state: 'applied' })
    assert.equal(await reader.judge(written), false)
    await clock.settle()
    const bytes = await Promise.all(nodes.map(async (node) => (await node.getMany([TAG_T]))[0]))
    assert.equal(new Set(bytes.filter((each) => each !== undefined).map((each) => Buffer.from(each!).toString('hex'))).size, 1)
  }
})

test('a delete once known stays known, though all nodes come back as they were before it', async () => {
  const { clock, process, nodes } = await fleet()
  const [one, other] = [await process(), await process()]
  const written = await one.write(['t'])
  await clock.settle()
  const snapshot = await Promise.all(nodes.map((node) => node.getMany([TAG_T])))
  await other.groups.raise([tag('t')])
  await clock.settle()
  assert.equal(await one.judge(written), false)
  for (const [nth, node] of nodes.entries()) {
    const [bytes] = snapshot[nth]!
    await node.apply([{ op: 'drop', key: TAG_T }])
    if (bytes !== undefined) await node.apply([{ op: 'put', key: TAG_T, bytes, ttlMs: 0 }])
    for (const each of [one, other]) {
      each.views[nth]!.cut()
      each.views[nth]!.mend()
    }
  }
  await clock.settle()
  for (const each of [one, other]) assert.equal(await each.judge(written), false)
})

test('records lost on every node bring no old entry back, and new entries are current', async () => {
  const { clock, process, nodes } = await fleet()
  const [one, two] = [await process(), await process()]
  const old = await one.write(['t'])
  await one.groups.raise([tag('t')])
  await clock.advance(5_000)
  for (const node of nodes) await node.apply([GEN, TAG_T, 'rt:!raised:c'].map((key) => ({ op: 'drop', key })))
  await clock.settle()
  for (const each of [one, two]) assert.equal(await each.judge(old), false)
  const young = await two.write(['t'])
  await clock.settle()
  for (const each of [one, two]) {
    assert.equal(await each.judge(young), true)
    assert.equal(await each.judge(old), false)
  }
})

test('a record that is lost right after its delete is created as of the delete, by whoever has not heard of it', async () => {
  const { clock, process, nodes } = await fleet()
  const [ahead, behind] = [await process({ skewMs: 900 }), await process()]
  await ahead.write(['t'])
  await clock.settle()
  const begun = await ahead.write(['t'])
  await ahead.groups.raise([tag('t')])
  for (const node of nodes) await node.apply([{ op: 'drop', key: TAG_T }])
  await clock.settle()
  assert.equal(await behind.judge(begun), false)
})

test('a record that is created is dated no later than any delete, so that those that come next take what began since', async () => {
  const { clock, process } = await fleet()
  const [one, other] = [await process(), await process()]
  await one.groups.raise([tag('t')])
  // Makes the record of another tag, as of now.
  await one.judge(entry(clock.now(), ['v']))
  const begunMs = one.groups.nowMs()
  await other.groups.raise([tag('u')])
  await one.groups.prepare(['u'], 'k', begunMs)
  assert.equal(await other.judge(entry(begunMs, ['u'])), false)
})

test('nothing is current while no owner of a record answers', async () => {
  const { clock, process } = await fleet()
  const one = await process()
  const written = await one.write()
  await clock.settle()
  for (const view of one.views) view.cut()
  assert.equal(await one.judge(written), false)
  const raised = await one.groups.raise(ALL)
  assert.equal(raised.state, 'unacknowledged')
  for (const view of one.views) view.mend()
  assert.equal(await one.judge(written), true)
})

test('owners that time out do not empty a cache whose record one of them lacks', async () => {
  const { clock, process } = await fleet()
  const one = await process()
  const written = await one.write()
  await clock.settle()
  const [first, second, third] = one.ownersOf(GEN)
  await first!.node.apply([{ op: 'drop', key: GEN }])
  for (const view of [second!, third!]) view.cut()
  assert.equal(await one.judge(written), false)
  for (const view of [second!, third!]) view.mend()
  assert.equal(await one.judge(written), true)
})

test('the first entry of a new tag is current at once', async () => {
  const { process } = await fleet()
  const [one, two] = [await process(), await process()]
  const written = await one.write(['new'])
  assert.equal(await one.judge(written), true)
  assert.equal(await two.judge(written), true)
})

test('times are right where their low 32 bits wrap, and months after a delete', async () => {
  const wrapMs = 408 * 2 ** 32
  const { clock, process } = await fleet(5, wrapMs - 2_000)
  const one = await process()
  const before = await one.write(['t'])
  await one.groups.raise([tag('t')])
  await clock.advance(4_000)
  assert.ok(clock.now() > wrapMs)
  const after = await one.write(['t'])
  assert.equal(await one.judge(before), false)
  assert.equal(await one.judge(after), true)
  for (const days of [20, 30, 55, 400]) {
    clock.jumpWall(days * 86_400_000)
    const young = entry(clock.now() - 1_000, ['t'])
    const aged = entry(clock.now() - 23 * 86_400_000, ['t'])
    assert.equal(await one.judge(young), true, `${days} days on`)
    assert.equal(await one.judge(aged), days > 20, `${days} days on, made 23 days before`)
  }
})

test('deletes one right after the other each take what was written between them', async () => {
  const { process } = await fleet()
  const one = await process()
  for (let nth = 0; nth < 50; nth++) {
    const written = await one.write(['t'])
    assert.equal(await one.judge(written), true)
    await one.groups.raise([tag('t')])
    assert.equal(await one.judge(written), false)
  }
})

test('what a process knows is bounded, and what it forgot is asked for again', async () => {
  const { clock, process } = await fleet()
  const one = await process({ maxKnown: 10 })
  const entries = []
  for (let nth = 0; nth < 40; nth++) entries.push(await one.write([`t${nth}`]))
  await clock.settle()
  for (const each of entries) assert.equal(await one.judge(each), true)
  assert.ok(one.groups.known <= 11)
})

test('many entries are judged in one request a node, and so are concurrent callers', async () => {
  const { clock, process } = await fleet()
  const [writer, reader] = [await process(), await process()]
  const entries = await Promise.all(Array.from({ length: 20 }, (_, nth) => writer.write(['all', `t${nth}`])))
  await clock.settle()
  const batch = entries.map((each) => ({ entry: each, key: 'k' }))
  const [one, two] = await Promise.all([reader.groups.learn(batch), reader.groups.learn(batch)])
  assert.deepEqual([...one, ...two], Array(40).fill(true))
  assert.equal(reader.asked, 22 * 3)
})

test('a tag that is no text of 1 to 256 well-formed bytes is refused', async () => {
  const { process } = await fleet()
  const { groups } = await process()
  for (const bad of ['', 'x'.repeat(257), 'é'.repeat(129), '\ud800', 7 as unknown as string]) {
    assert.throws(() => groups.checkTags([bad]), ConfigurationError)
    assert.throws(() => groups.raise([tag(bad)]), ConfigurationError)
    assert.throws(() => groups.prepare([bad], 'k', 1), ConfigurationError)
  }
  groups.checkTags(['x'.repeat(256), 'é'.repeat(128), '{a}:b'])
  assert.deepEqual(await groups.learn([{ entry: entry(1, ['x'.repeat(300)]), key: 'k' }]), [false])
})
