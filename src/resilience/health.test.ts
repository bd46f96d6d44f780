import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError, DeadlineError, NodeError, type RingtailError } from '../errors.ts'
import type { Emit, TierEvents } from '../events.ts'
import type { CacheNode, Change, NodeCall, NodeObserver, NodeParts, Pong, Receiver, Status, StatusReceiver } from '../node/node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { Health, type HealthParts } from './health.ts'

/** A node of which the test says how it answers. */
class Patient {
  readonly id: string
  readonly #clock: FakeClock
  answers: 'at once' | 'late' | 'never' | 'an error' = 'at once'
  observer: NodeObserver | undefined
  emit: Emit | undefined
  readonly changes: Change[] = []
  reads = 0

  constructor(id: string, clock: FakeClock) {
    this.id = id
    this.#clock = clock
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    this.emit = parts.emit
  }

  observe(observer: NodeObserver): () => void {
    this.observer = observer
    return () => {
      this.observer = undefined
    }
  }

  get(_key: string, receiver: Receiver): void {
    this.reads++
    receiver.answered(undefined, this as unknown as CacheNode)
  }

  /** A silent one never says what became of a change. */
  change(change: Change, receiver: StatusReceiver): void {
    this.changes.push(change)
    if (this.answers === 'at once') receiver.settled({ state: 'applied' }, this as unknown as CacheNode)
  }

  async apply(changes: readonly Change[]): Promise<Status[]> {
    this.changes.push(...changes)
    return changes.map(() => ({ state: 'applied' }))
  }

  ping({ timeoutMs }: NodeCall): Promise<Pong> {
    if (this.answers === 'at once') return Promise.resolve({ rttMs: 0.2, timeMs: 0 })
    if (this.answers === 'an error') return Promise.reject(new NodeError('busy', this.id, { cause: replyError() }))
    const clock = this.#clock
    return new Promise((resolve, reject) => {
      if (this.answers === 'late') clock.after(200, () => resolve({ rttMs: 200, timeMs: 0 }))
      else clock.after(timeoutMs!, () => reject(new DeadlineError('silent')))
    })
  }

  async close(): Promise<void> {}
}

function replyError(): Error {
  return Object.assign(new Error('BUSY'), { name: 'ReplyError' })
}

const timedOut: RingtailError = new DeadlineError('no answer within the timeout')

async function ward(nodes = 5, parts: Partial<HealthParts> = {}) {
  const clock = new FakeClock()
  const patients = Array.from({ length: nodes }, (_, nth) => new Patient(`n${nth}`, clock))
  const told: string[] = []
  const emit: Emit = (name, payload) => {
    told.push(`${name.slice(5)} ${(payload as TierEvents['node:up']).node}`)
  }
  const health = new Health(patients as unknown as CacheNode[], { clock, random: seededRandom(1), emit, ...parts })
  for (const node of health.guarded) await node.connect({ emit })
  health.start()
  await clock.advance(1_000)
  const states = (): string => patients.map(({ id }) => health.stateOf(id)).join(' ')
  const avoided = (): string =>
    health.guarded
      .filter(({ standing }) => standing!.avoided)
      .map(({ id }) => id)
      .join(' ')
  return { clock, patients, health, told, states, avoided, guarded: health.guarded }
}

const put = (more: object = {}): Change => ({ op: 'put', key: 'k', bytes: Buffer.alloc(1), ttlMs: 0, ...more })

function changed(node: CacheNode, change: Change): Status | undefined {
  let told: Status | undefined
  node.change(change, { settled: (status) => (told = status) })
  return told
}

test('a node that falls silent is suspect after a ping, down within a second, and up one ping after it answers', async () => {
  const { clock, patients, told, states, avoided } = await ward()
  patients[1]!.answers = 'never'
  await clock.advance(500)
  assert.equal(states(), 'up suspect up up up')
  assert.equal(avoided(), '')
  await clock.advance(499)
  assert.equal(states(), 'up down up up up')
  assert.equal(avoided(), 'n1')
  patients[1]!.answers = 'at once'
  await clock.advance(250)
  assert.equal(states(), 'up up up up up')
  assert.deepEqual(told, ['suspect n1', 'down n1', 'up n1'])
})

test('what else it answers shows that a node lives, also when its pings are not answered', async () => {
  const { clock, patients, states } = await ward()
  patients[1]!.answers = 'never'
  for (let nth = 0; nth < 20; nth++) {
    await clock.advance(100)
    patients[1]!.observer!.landed(10, 1, true)
  }
  assert.match(states(), /^up (up|suspect) up up up$/)
})

test('an error is an answer', async () => {
  const { clock, patients, states } = await ward()
  patients[1]!.answers = 'an error'
  await clock.advance(2_000)
  assert.equal(states(), 'up up up up up')
})

test('where more than half look dead none is ejected, and each is up as soon as it answers', async () => {
  const { clock, patients, told, states, avoided, guarded } = await ward()
  for (const patient of patients) patient.answers = 'never'
  await clock.advance(3_000)
  assert.equal(states(), 'suspect suspect suspect suspect suspect')
  assert.equal(avoided(), '')
  assert.ok(!told.some((each) => each.startsWith('down')), `${told}`)
  guarded[0]!.get('k', { answered: () => {}, failed: () => {} })
  assert.equal(patients[0]!.reads, 1)
  for (const patient of patients) patient.answers = 'at once'
  await clock.advance(250)
  assert.equal(states(), 'up up up up up')
})

test('two of five that are silent are both down', async () => {
  const { clock, patients, states } = await ward()
  for (const patient of patients.slice(0, 2)) patient.answers = 'never'
  await clock.advance(1_000)
  assert.equal(states(), 'down down up up up')
})

test('a process that was held up does not blame its nodes', async () => {
  const { clock, patients, told, states } = await ward()
  patients[1]!.answers = 'never'
  for (let nth = 0; nth < 10; nth++) {
    await clock.advance(20)
    clock.stall(400)
  }
  assert.equal(states(), 'up up up up up')
  assert.deepEqual(told, [])
})

test('a lost connection is told as down at once, whatever the others do, and found again as up', async () => {
  const { patients, told, states, guarded, health } = await ward(1)
  patients[0]!.emit!('node:down', { node: 'n0', reason: 'refused' })
  assert.equal(states(), 'suspect')
  assert.equal(health.isDown('n0'), true)
  assert.equal(guarded[0]!.standing!.avoided, false)
  patients[0]!.emit!('node:up', { node: 'n0' })
  assert.equal(states(), 'up')
  assert.deepEqual(told, ['down n0', 'up n0'])
})

test('a node most of whose calls fail is down, refuses at once, and is up again once pings have probed it', async () => {
  const { clock, patients, states, guarded } = await ward()
  patients[1]!.observer!.landed(10, 1, true)
  patients[1]!.observer!.lost(30, timedOut, 50)
  assert.equal(states(), 'up down up up up')
  let failure: RingtailError | undefined
  guarded[1]!.get('k', { answered: () => {}, failed: (error) => (failure = error) })
  assert.equal(failure?.code, 'NODE_FAILED')
  await assert.rejects(guarded[1]!.getMany(['k']), { code: 'NODE_FAILED' })
  assert.equal(changed(guarded[1]!, put())?.state, 'failed')
  assert.equal(patients[1]!.reads + patients[1]!.changes.length, 0)
  await clock.advance(2_000)
  assert.equal(states(), 'up up up up up')
})

test('calls of before its breaker opened that are lost later do not keep a node down that is well again', async () => {
  const { clock, patients, states } = await ward()
  patients[1]!.observer!.lost(30, timedOut, 50)
  for (let ms = 50; ms <= 1_000; ms += 50) {
    await clock.advance(50)
    patients[1]!.observer!.lost(1, timedOut, ms + 1)
  }
  assert.equal(states(), 'up up up up up')
})

test('calls of before its breaker opened that are answered later do not count as probes', async () => {
  const { clock, patients, states } = await ward()
  patients[1]!.observer!.lost(30, timedOut, 50)
  patients[1]!.answers = 'never'
  for (let ms = 100; ms <= 1_000; ms += 100) {
    await clock.advance(100)
    for (let nth = 0; nth < 3; nth++) patients[1]!.observer!.landed(1, ms + 1, true)
    assert.equal(states(), 'up down up up up')
  }
})

test('where most nodes fail none refuses', async () => {
  const { patients, states, guarded } = await ward()
  for (const { observer } of patients.slice(0, 3)) observer!.lost(30, timedOut, 50)
  assert.equal(states(), 'suspect suspect suspect up up')
  guarded[1]!.get('k', { answered: () => {}, failed: assert.fail })
  assert.equal(patients[1]!.reads, 1)
})

test('that calls failed because the connection was lost opens no breaker', async () => {
  const { patients, states } = await ward()
  patients[1]!.observer!.lost(100, new NodeError('connection lost', 'n1', { outcome: 'unknown' }), 5)
  assert.equal(states(), 'up up up up up')
})

test('a node that takes longer than the others is asked less in proportion, and told of; not one that all are as slow as', async () => {
  const { clock, patients, states, guarded } = await ward()
  const run = async (times: readonly number[]): Promise<void> => {
    for (let nth = 0; nth < 40; nth++) {
      for (const [at, ms] of times.entries()) patients[at]!.observer!.landed(10, ms, true)
      await clock.advance(250)
    }
  }
  await run([1, 1, 60, 1, 1])
  const { share } = guarded[2]!.standing!
  assert.ok(share > 0.08 && share < 0.12, `${share}: 6 ms of 60`)
  assert.equal(states(), 'up up suspect up up')
  let asked = 0
  for (let nth = 0; nth < 1_000; nth++) if (guarded[2]!.standing!.takesRead()) asked++
  assert.ok(Math.abs(asked - 1_000 * share) <= 1)
  await run([1, 1, 1, 1, 1])
  assert.equal(guarded[2]!.standing!.share, 1)
  assert.equal(states(), 'up up up up up')
  await run([60, 60, 60, 60, 60])
  assert.deepEqual(
    guarded.map(({ standing }) => standing!.share),
    [1, 1, 1, 1, 1],
  )
})

test('a read is late after the time within which its node answers 95 of 100, and not before 2 ms', async () => {
  const { clock, patients } = await ward()
  for (let nth = 0; nth < 40; nth++) {
    patients[0]!.observer!.landed(90, 3, true)
    patients[0]!.observer!.landed(10, 20, true)
    patients[1]!.observer!.landed(100, 0.3, true)
    await clock.advance(250)
  }
  const [first, second] = patients.map(({ observer }) => observer!.lateAfterMs)
  assert.ok(first! >= 20 && first! < 25, `${first}`)
  assert.equal(second, 2)
})

test('a node is marked as returning or draining, and reads ask others first while it is returning', async () => {
  const { health, told, states, avoided } = await ward()
  health.mark('n1', 'returning')
  assert.equal(avoided(), 'n1')
  health.mark('n2', 'draining')
  assert.equal(states(), 'up returning draining up up')
  assert.equal(avoided(), 'n1')
  health.mark('n1', undefined)
  health.mark('n2', undefined)
  assert.equal(states(), 'up up up up up')
  assert.deepEqual(told, ['returning n1', 'draining n2', 'up n1', 'up n2'])
  assert.throws(() => health.mark('n9', undefined), ConfigurationError)
})

test('one that is known to be behind is avoided also where most look dead, and a doubt makes no less of it', async () => {
  const { clock, patients, health, told, states, guarded } = await ward(5, { isReturning: (node) => node === 'n1' })
  health.mark('n1', 'behind')
  for (const patient of patients) patient.answers = 'never'
  await clock.advance(3_000)
  assert.equal(states(), 'suspect returning suspect suspect suspect')
  for (const patient of patients) patient.answers = 'at once'
  await clock.advance(250)
  assert.equal(states(), 'up returning up up up')
  const { avoided, behind } = guarded[1]!.standing!
  assert.deepEqual([avoided, behind], [true, true])
  health.mark('n1', undefined)
  assert.deepEqual([guarded[1]!.standing!.avoided, guarded[1]!.standing!.behind], [false, false])
  assert.deepEqual(
    told.filter((each) => each.endsWith('n1')),
    ['returning n1', 'up n1'],
  )
})

test('whoever catches nodes up says whether one that was dead is returning, before it is asked again', async () => {
  const { clock, patients, told, health, avoided } = await ward(5, { isReturning: (node) => node === 'n1' })
  for (const patient of patients.slice(1, 3)) patient.answers = 'never'
  await clock.advance(1_000)
  for (const patient of patients) patient.answers = 'at once'
  told.length = 0
  await clock.advance(250)
  assert.deepEqual(told, ['returning n1', 'up n2'])
  assert.equal(avoided(), 'n1')
  health.mark('n1', undefined)
  assert.equal(avoided(), '')
})

test('a silent node is sent changes that are safe to come late, and nobody waits for it', async () => {
  const { clock, patients, guarded } = await ward()
  patients[1]!.answers = 'never'
  await clock.advance(1_000)
  assert.equal(changed(guarded[1]!, put())?.state, 'unknown')
  assert.deepEqual(
    (
      await guarded[1]!.apply([put(), put({ expected: 1n }), put({ lease: 7 }), { op: 'set', key: 'k', bytes: Buffer.alloc(1), ttlMs: 0 }])
    ).map(({ state }) => state),
    ['unknown', 'failed', 'failed', 'failed'],
  )
  assert.deepEqual(patients[1]!.changes, [put(), put()])
})

test('a node that is returning decides no compare-and-set, and takes all else', async () => {
  const { health, guarded, patients } = await ward()
  health.mark('n1', 'returning')
  const statuses = await guarded[1]!.apply([put({ expected: 1n }), put()])
  assert.deepEqual(
    statuses.map(({ state }) => state),
    ['failed', 'applied'],
  )
  assert.equal(changed(guarded[1]!, put({ expected: 1n }))?.state, 'failed')
  assert.deepEqual(patients[1]!.changes, [put()])
})

test('what a returning node was not asked to decide is told so, also when it has caught up by the time that it answers', async () => {
  const { health, guarded } = await ward()
  health.mark('n1', 'returning')
  const applying = guarded[1]!.apply([put({ expected: 1n }), put()])
  health.mark('n1', undefined)
  assert.deepEqual(
    (await applying).map((status) => status?.state),
    ['failed', 'applied'],
  )
})

test('a process is cut off while most nodes look dead to it, and not before', async () => {
  const { clock, patients, health } = await ward()
  for (const patient of patients.slice(0, 2)) patient.answers = 'never'
  await clock.advance(1_000)
  assert.equal(health.isCutOff, false)
  patients[2]!.answers = 'never'
  await clock.advance(450)
  assert.equal(health.isCutOff, false, 'one ping was missed')
  await clock.advance(200)
  assert.equal(health.isCutOff, true)
  patients[0]!.answers = 'at once'
  await clock.advance(250)
  assert.equal(health.isCutOff, false)
  patients[0]!.emit!('node:down', { node: 'n0', reason: 'ECONNREFUSED' })
  assert.equal(health.isCutOff, true)
  for (const { id } of patients.slice(0, 4)) health.remove(id)
  assert.equal(health.isCutOff, false)
})

test('a health that was stopped leaves no timer and judges no more', async () => {
  const { clock, patients, health, told } = await ward()
  health.stop()
  for (const patient of patients.slice(0, 1)) patient.answers = 'never'
  await clock.advance(2_000)
  assert.equal(clock.pendingTimers, 0)
  assert.deepEqual(told, [])
})
