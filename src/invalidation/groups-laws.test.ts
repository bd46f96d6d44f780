/**
 * The law of groups, looked for an exception of: whatever was begun before a delete of one of its groups was called is not current for
 * anybody who has heard of it, and what begins afterwards is. Processes' clocks differ by less than `SKEW_MS`, they hear late, lose sight of
 * a node, delete at the same time, and loads take any time.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Membership } from '../entry.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { entry, GroupProcess, memoryNodes } from '../testing/group-fleet.ts'
import { type Group, GroupRecords } from './group-records.ts'

const PROCESSES = 3
const who = fc.nat(PROCESSES - 1)
const tags = fc.subarray(['t', 'u'])
const group = fc.constantFrom<Group>({ kind: 'tag', name: 't' }, { kind: 'tag', name: 'u' }, { kind: 'ns', name: 'a' }, { kind: 'all' })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant('begin' as const), who, tags, key: fc.constantFrom('a:1', 'b') }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('finish' as const), nth: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('raise' as const), who, group }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('raise two' as const), who, other: who, group, second: group }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 700 }) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('hold' as const), who }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('hear' as const), who }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('cut' as const), who, node: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('mend' as const), who }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('judge' as const), who }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface Made {
  readonly by: GroupProcess
  readonly key: string
  readonly begunMs: number
  readonly membership: Membership
  /** Deletes that were called after it began, and acknowledged. */
  deleted: boolean
  finished: boolean
}

class History {
  readonly clock = new FakeClock()
  readonly processes: GroupProcess[] = []
  readonly holding = new Set<GroupProcess>()
  readonly made: Made[] = []

  async start(skews: readonly number[]): Promise<void> {
    const nodes = await memoryNodes(5, this.clock)
    for (const skewMs of skews) this.processes.push(new GroupProcess(nodes, this.clock, { skewMs, separator: ':' }))
    await this.clock.settle()
  }

  async run(taken: Step): Promise<void> {
    if (taken.op === 'begin') {
      const by = this.processes[taken.who]!
      const begunMs = by.groups.nowMs()
      this.made.push({ by, key: taken.key, begunMs, membership: entry(begunMs, taken.tags), deleted: false, finished: false })
    } else if (taken.op === 'finish') {
      const open = this.made.filter(({ finished }) => !finished)
      if (open.length > 0) await this.finish(open[taken.nth % open.length]!)
    } else if (taken.op === 'raise') await this.raise([[taken.who, taken.group]])
    else if (taken.op === 'raise two') {
      await this.raise([
        [taken.who, taken.group],
        [taken.other, taken.second],
      ])
    } else if (taken.op === 'advance') await this.clock.advance(taken.ms)
    else await this.disturb(taken)
    await this.clock.settle()
  }

  async disturb(taken: Extract<Step, { op: 'hold' | 'hear' | 'cut' | 'mend' | 'judge' }>): Promise<void> {
    const process = this.processes[taken.who]!
    if (taken.op === 'hold') {
      if (!this.holding.has(process)) process.holdPushes()
      this.holding.add(process)
    } else if (taken.op === 'hear') this.hear(process)
    else if (taken.op === 'cut') {
      this.mend(process)
      process.views[taken.node]!.cut()
    } else if (taken.op === 'mend') this.mend(process)
    else for (const each of this.made) await process.judge(each.membership, each.key)
  }

  hear(process: GroupProcess): void {
    process.releasePushes()
    this.holding.delete(process)
  }

  mend(process: GroupProcess): void {
    for (const view of process.views) if (!view.up) view.mend()
  }

  async finish(made: Made): Promise<void> {
    made.finished = true
    await made.by.groups.prepare(made.membership.tags, made.key, made.begunMs)
  }

  async raise(deletes: readonly (readonly [number, Group])[]): Promise<void> {
    const before = [...this.made]
    const outcomes = await Promise.all(deletes.map(([nth, each]) => this.processes[nth]!.groups.raise([each])))
    for (const [at, [nth, each]] of deletes.entries()) {
      if (outcomes[at]!.state !== 'applied') continue
      for (const made of before) if (belongs(made, each)) made.deleted = true
      await this.check(this.processes[nth]!, 'who deleted', before, each)
    }
    await this.clock.settle()
    for (const process of this.processes) if (!this.holding.has(process)) await this.check(process, 'who heard', this.made)
  }

  async check(process: GroupProcess, role: string, among: readonly Made[], only?: Group): Promise<void> {
    for (const made of among) {
      if (!made.deleted || (only !== undefined && !belongs(made, only))) continue
      assert.equal(await process.judge(made.membership, made.key), false, `${role} takes a deleted entry for current`)
    }
  }
}

function belongs(made: Made, group: Group): boolean {
  if (group.kind === 'all') return true
  return group.kind === 'ns' ? made.key === 'a:1' : made.membership.tags.includes(group.name)
}

test('nothing begun before a delete is current for who has heard of it, and what begins afterwards is', async () => {
  const skew = fc.integer({ min: -499, max: 499 })
  const property = fc.asyncProperty(
    fc.array(skew, { minLength: PROCESSES, maxLength: PROCESSES }),
    fc.array(step, { minLength: 5, maxLength: 40 }),
    async (skews, steps) => {
      const history = new History()
      await history.start(skews)
      for (const each of steps) await history.run(each)
      for (const process of history.processes) {
        history.hear(process)
        history.mend(process)
      }
      await history.clock.settle()
      for (const made of history.made) if (!made.finished) await history.finish(made)
      for (const process of history.processes) await history.check(process, 'everybody', history.made)
      await history.clock.settle()
      for (const process of history.processes) await process.write(['t', 'u'], 'a:1')
      await history.clock.settle()
      for (const writer of history.processes) {
        const written = await writer.write(['t', 'u'], 'a:1')
        await history.clock.settle()
        for (const process of history.processes) assert.equal(await process.judge(written, 'a:1'), true)
      }
    },
  )
  await fc.assert(property, { numRuns: 150 })
})

test('the key of a record names its group and no other', () => {
  const records = new GroupRecords('c')
  const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => text.isWellFormed())
  const named = fc.record({ kind: fc.constantFrom('ns' as const, 'tag' as const), name }, { noNullPrototype: true })
  fc.assert(
    fc.property(named, named, (a, b) => {
      assert.deepEqual(records.groupOf(records.keyOf(a)), a)
      assert.ok(!/[{}]/.test(records.keyOf(a)))
      assert.equal(records.keyOf(a) === records.keyOf(b), a.kind === b.kind && a.name === b.name)
    }),
  )
  assert.deepEqual(records.groupOf('rt:!group:c:all'), { kind: 'all' })
  for (const other of ['rt:!group:c:', 'rt:!group:c:tag:%zz', 'rt:!group:c:x:y', 'rt:!group:c:ns:{']) {
    assert.equal(records.groupOf(other), undefined)
  }
})
