/**
 * A ring that changes under a fleet of processes: what is read meanwhile, who may change it, and what becomes of a change whose operator dies.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChangeProgress, cacheAside, memoryStore, type RingChangeReport, writeThrough } from '../src/index.ts'
import { decodeRecord } from '../src/topology/topology-record.ts'
import { type Process, RingFleet } from './support/ring-fleet.ts'

const KEYS = 600
const keyOf = (nth: number): string => `k${nth}`

/** Reads and writes of all processes while something goes on: every read sees what was written last. */
class Load {
  readonly #fleet: RingFleet
  readonly #written = new Map<string, number | undefined>()
  #turn = 0
  reads = 0
  misses = 0
  readonly wrong: string[] = []
  readonly #underWay = new Set<Promise<void>>()

  constructor(fleet: RingFleet) {
    this.#fleet = fleet
  }

  async fill(): Promise<void> {
    for (let nth = 0; nth < KEYS; nth++) {
      await this.#fleet.until(this.#fleet.processes[0]!.cache.set(keyOf(nth), nth), 0)
      this.#written.set(keyOf(nth), nth)
    }
    await this.#fleet.clock.advance(1_000)
  }

  /** To be called between two steps of the clock. */
  readonly step = (): void => {
    for (const process of this.#fleet.processes) {
      const turn = this.#turn++
      const key = keyOf((turn * 7) % KEYS)
      const work = turn % 5 === 0 ? this.#write(process, key, turn) : this.#read(process, key)
      this.#underWay.add(work)
      void work.finally(() => this.#underWay.delete(work))
    }
  }

  async end(): Promise<void> {
    await this.#fleet.until(Promise.all(this.#underWay))
    for (const process of this.#fleet.processes)
      for (let nth = 0; nth < KEYS; nth++) await this.#fleet.until(this.#read(process, keyOf(nth)), 0)
  }

  async #write({ cache }: Process, key: string, value: number): Promise<void> {
    if (value % 3 === 0) {
      await cache.delete(key)
      this.#written.set(key, undefined)
    } else {
      await cache.set(key, value)
      this.#written.set(key, value)
    }
  }

  async #read({ cache }: Process, key: string): Promise<void> {
    const expected = this.#written.get(key)
    const found = await cache.get(key)
    this.reads++
    // A memory node answers at once, so nothing is written between asking and hearing.
    if (expected !== undefined && found === undefined) this.misses++
    else if (found !== expected && found !== this.#written.get(key)) this.wrong.push(`${key}: ${found}, and ${expected} was written`)
  }
}

async function loaded(options: Parameters<typeof RingFleet.start>[0] = {}) {
  const fleet = await RingFleet.start(options)
  const load = new Load(fleet)
  await load.fill()
  return { fleet, load, a: fleet.processes[0]!, b: fleet.processes[1]! }
}

async function ended(fleet: RingFleet, load: Load): Promise<void> {
  await load.end()
  assert.deepEqual(load.wrong, [])
  assert.equal(load.misses, 0)
  await fleet.close()
  assert.equal(fleet.clock.pendingTimers, 0)
}

/** What lies on a node, but for records it is governed by. */
async function entriesOf(fleet: RingFleet, id: string): Promise<number> {
  let count = 0
  for await (const keys of fleet.node(id).scan('rt:')) count += keys.filter((key) => !/^rt:!(topology|node)/.test(key)).length
  return count
}

const idsOf = ({ tier }: Process): string[] => tier.topology().members.map(({ id }) => id)

test('a node added under load is read from, by everybody, and no read misses or is old', async () => {
  const { fleet, load, a, b } = await loaded()
  const events: string[] = []
  for (const { tier } of fleet.processes) tier.on('topology:changed', ({ epoch, phase }) => events.push(`${epoch} ${phase}`))
  const report = await fleet.until(a.tier.changeRing({ add: [a.way('n5')] }), 20, load.step)
  assert.equal(report.failed, 0)
  assert.deepEqual(events, ['1 moving', '1 moving', '2 switched', '2 switched', '3 settled', '3 settled'])
  for (const process of [a, b]) assert.deepEqual(idsOf(process), ['n1', 'n2', 'n3', 'n4', 'n5'])
  assert.ok((await entriesOf(fleet, 'n5')) > KEYS / 3)
  assert.ok((await b.tier.nodes()).find(({ id }) => id === 'n5')!.share > 0.1)
  await ended(fleet, load)
})

test('a node drained under load is left empty and let go of', async () => {
  const { fleet, load, a, b } = await loaded()
  const draining: string[] = []
  b.tier.on('node:draining', ({ node }) => draining.push(node))
  await fleet.until(a.tier.changeRing({ remove: ['n1'] }), 20, load.step)
  assert.equal(await entriesOf(fleet, 'n1'), 0)
  assert.deepEqual(draining, ['n1'])
  await fleet.clock.advance(4_000)
  assert.deepEqual(
    (await b.tier.nodes()).map(({ id }) => id),
    ['n2', 'n3', 'n4'],
  )
  await ended(fleet, load)
})

test('a node is replaced, and others weigh another, in one change', async () => {
  const { fleet, load, a, b } = await loaded()
  await fleet.until(a.tier.changeRing({ add: [a.way('n5')], remove: ['n1'], weights: { n2: 2 } }), 20, load.step)
  const nodes = await b.tier.nodes()
  assert.deepEqual(
    nodes.map(({ id, weight }) => [id, weight]),
    [
      ['n2', 2],
      ['n3', 1],
      ['n4', 1],
      ['n5', 1],
    ],
  )
  assert.ok(nodes[0]!.share > 0.3)
  await ended(fleet, load)
})

test('a dead node is removed: its keys are copied from their other owners', async () => {
  const { fleet, load, a } = await loaded()
  for (const process of fleet.processes) process.way('n1').mishaps.down('refusing')
  await fleet.clock.advance(2_000)
  const { copied, failed } = await fleet.until(a.tier.changeRing({ remove: ['n1'] }), 20, load.step)
  assert.equal(failed, 0)
  assert.ok(copied > KEYS / 3)
  await ended(fleet, load)
})

test('values, versions, remaining life, negative entries and groups move as they are', async () => {
  const store = memoryStore<unknown>()
  const { fleet, a, b } = await loaded({ cache: { strategy: writeThrough(store), tags: () => ['all'], grace: '10m', negativeTtl: '10m' } })
  await fleet.until(a.cache.get('absent'))
  await fleet.clock.advance(60_000)
  await fleet.until(a.cache.set('young', 'y'))
  await fleet.until(a.cache.deleteByTag('all'))
  await fleet.clock.advance(2_000)
  await fleet.until(a.cache.set('later', 1))
  await fleet.until(a.tier.changeRing({ add: ['n5', 'n6', 'n7'].map((id) => a.way(id)), remove: ['n1', 'n2', 'n3'] }))
  const loads = (): number => b.cache.metrics().store!.keysLoaded
  const before = loads()
  assert.equal(await fleet.until(b.cache.get('later')), 1)
  assert.equal(loads(), before)
  // Deleted with its tag before the change, so it is loaded after it.
  assert.equal(await fleet.until(b.cache.get('young')), 'y')
  assert.equal(loads(), before + 1)
  await fleet.close()
})

test('what a plan says is what a change does, within 10 %', async () => {
  const { fleet, load, a } = await loaded()
  const change = { add: [a.way('n5')], weights: { n3: 1.5 } }
  const plan = await fleet.until(a.tier.planRingChange(change))
  assert.equal(a.tier.topology().epoch, 0)
  const { copied } = await fleet.until(a.tier.changeRing(change))
  assert.ok(Math.abs(plan.copies - copied) <= copied * 0.1, `${plan.copies} planned, ${copied} copied`)
  assert.ok(Math.abs(plan.keys - KEYS) <= KEYS * 0.1)
  assert.ok(plan.loadsWithoutCopying > 0 && plan.bytes > 0)
  assert.equal(plan.moves[0]!.to, 'n5')
  await ended(fleet, load)
})

test('of two operators at once one has it, and the other is told who', async () => {
  const { fleet, load, a, b } = await loaded()
  const [one, other] = await fleet.until(
    Promise.allSettled([a.tier.changeRing({ remove: ['n1'] }, { by: 'anna' }), b.tier.changeRing({ remove: ['n2'] }, { by: 'bert' })]),
    20,
    load.step,
  )
  const won = [one, other].findIndex(({ status }) => status === 'fulfilled')
  const lost = [one, other][1 - won]!
  assert.ok(lost.status === 'rejected')
  assert.equal(lost.reason.code, 'TOPOLOGY')
  assert.equal(lost.reason.reason, 'busy')
  assert.equal(lost.reason.by, ['anna', 'bert'][won])
  assert.equal(idsOf(a).length, 3)
  assert.deepEqual(idsOf(a), idsOf(b))
  await ended(fleet, load)
})

test('a change that is given up is rolled back, at each of its steps', async () => {
  for (const step of ['moving', 'copying', 'switching', 'checking'] as const) {
    const { fleet, load, a, b } = await loaded()
    const giveUp = new AbortController()
    const onProgress = (progress: ChangeProgress): void => {
      if (progress.step === step) giveUp.abort()
    }
    const changing = fleet.until(
      a.tier.changeRing({ add: [a.way('n5')], remove: ['n1'] }, { signal: giveUp.signal, onProgress }),
      20,
      load.step,
    )
    await assert.rejects(changing, { code: 'TOPOLOGY', reason: 'aborted' })
    for (const process of [a, b])
      assert.deepEqual([idsOf(process), process.tier.topology().phase], [['n1', 'n2', 'n3', 'n4'], 'settled'], step)
    assert.equal(await entriesOf(fleet, 'n5'), 0, step)
    await ended(fleet, load)
  }
})

/** Its operator is gone at this step: it reaches no node any more. */
async function abandoned(fleet: RingFleet, load: Load, at: ChangeProgress['step']): Promise<void> {
  const operator = await fleet.join(['n1', 'n2', 'n3', 'n4'])
  fleet.processes.pop()
  let isDead = false
  const onProgress = ({ step }: ChangeProgress): void => {
    if (step !== at || isDead) return
    isDead = true
    for (const id of ['n1', 'n2', 'n3', 'n4', 'n5']) operator.way(id).mishaps.down('refusing')
  }
  const dying = operator.tier.changeRing({ add: [operator.way('n5')], remove: ['n1'] }, { by: 'the dead', onProgress })
  await fleet.until(
    dying.then(
      () => assert.fail('it lives'),
      () => {},
    ),
    20,
    load.step,
  )
  await fleet.until(operator.tier.close())
  // Its lock ends by itself.
  await fleet.until(new Promise<void>((resolve) => void fleet.clock.after(10_500, resolve)), 50, load.step)
}

for (const at of ['copying', 'switching', 'checking', 'settling'] as const) {
  test(`a change whose operator died while ${at} is found, and refuses another before it is ended`, async () => {
    const { fleet, load, a, b } = await loaded()
    await abandoned(fleet, load, at)
    assert.equal(a.tier.topology().change!.by, 'the dead')
    await assert.rejects(fleet.until(b.tier.changeRing({ remove: ['n2'] })), { reason: 'unfinished', by: 'the dead' })
    await assert.rejects(fleet.until(b.tier.planRingChange({ remove: ['n2'] })), { reason: 'unfinished' })
    await ended(fleet, load)
  })

  test(`a change whose operator died while ${at} is resumed by another process`, async () => {
    const { fleet, load, a, b } = await loaded()
    await abandoned(fleet, load, at)
    await fleet.until(b.tier.resumeRingChange(), 20, load.step)
    for (const process of [a, b]) assert.deepEqual(idsOf(process), ['n2', 'n3', 'n4', 'n5'])
    assert.equal(await entriesOf(fleet, 'n1'), 0)
    await assert.rejects(fleet.until(b.tier.resumeRingChange()), { code: 'TOPOLOGY', reason: 'settled' })
    await ended(fleet, load)
  })

  test(`a change whose operator died while ${at} is rolled back by another process`, async () => {
    const { fleet, load, a, b } = await loaded()
    await abandoned(fleet, load, at)
    const { epoch }: RingChangeReport = await fleet.until(b.tier.rollBackRingChange(), 20, load.step)
    assert.ok(epoch >= 2)
    for (const process of [a, b]) assert.deepEqual([idsOf(process), process.tier.topology().phase], [['n1', 'n2', 'n3', 'n4'], 'settled'])
    assert.equal(await entriesOf(fleet, 'n5'), 0)
    await ended(fleet, load)
  })
}

test('a new node that fails while it is copied to ends the change, and all is as before', async () => {
  const { fleet, load, a, b } = await loaded()
  const onProgress = ({ step }: ChangeProgress): void => {
    if (step === 'copying') a.way('n5').mishaps.down('refusing')
  }
  await assert.rejects(fleet.until(a.tier.changeRing({ add: [a.way('n5')] }, { onProgress }), 20, load.step), { reason: 'unreachable' })
  for (const process of [a, b]) assert.deepEqual([idsOf(process), process.tier.topology().phase], [['n1', 'n2', 'n3', 'n4'], 'settled'])
  await ended(fleet, load)
})

test('what lies on a node from earlier days does not come back when it joins', async () => {
  const { fleet, load, a, b } = await loaded()
  await fleet.until(a.tier.changeRing({ add: [a.way('n5')] }))
  // As of a snapshot, of keys that have been deleted since.
  const old = new Map<string, Uint8Array>()
  for await (const keys of fleet.node('n5').scan('rt:item:'))
    for (const [at, bytes] of (await fleet.node('n5').getMany(keys)).entries()) old.set(keys[at]!, Buffer.from(bytes!))
  await fleet.until(a.tier.changeRing({ remove: ['n5'] }))
  await fleet.clock.advance(4_000)
  for (const [key, bytes] of old) await fleet.node('n5').apply([{ op: 'put', key, bytes, ttlMs: 3_600_000, issuedMs: fleet.clock.now() }])
  for (let nth = 0; nth < KEYS; nth++) await fleet.until(b.cache.delete(keyOf(nth)), 0)
  await fleet.clock.advance(400_000)
  await fleet.until(b.tier.changeRing({ add: [b.way('n5')] }))
  for (let nth = 0; nth < KEYS; nth++) assert.equal(await fleet.until(a.cache.get(keyOf(nth)), 0), undefined)
  void load
  await fleet.close()
})

test('a process that starts later goes by what was decided, whatever it was configured with', async () => {
  const { fleet, load, a } = await loaded()
  await fleet.until(a.tier.changeRing({ add: [a.way('n5')], remove: ['n1'] }), 20, load.step)
  const late = await fleet.join(['n1', 'n2', 'n3', 'n4'])
  assert.deepEqual(idsOf(late), ['n2', 'n3', 'n4', 'n5'])
  await ended(fleet, load)
})

test('a process that starts with nodes of which all have left finds those that have come', async () => {
  const { fleet, load, a } = await loaded({ nodes: 3 })
  await fleet.until(a.tier.changeRing({ add: ['n4', 'n5', 'n6'].map((id) => a.way(id)), remove: ['n1', 'n2', 'n3'] }), 20, load.step)
  const late = await fleet.join(['n1', 'n2', 'n3'])
  assert.deepEqual(idsOf(late), ['n4', 'n5', 'n6'])
  await ended(fleet, load)
})

test('a process that heard of nothing for a while goes by what was decided once it hears again', async () => {
  const { fleet, load, a, b } = await loaded()
  for (const id of ['n1', 'n2', 'n3', 'n4']) b.way(id).mishaps.down('refusing')
  await fleet.until(a.tier.changeRing({ add: ['n5', 'n6'].map((id) => a.way(id)), remove: ['n1', 'n2', 'n3'] }))
  assert.deepEqual(idsOf(b), ['n1', 'n2', 'n3', 'n4'])
  for (const id of ['n1', 'n2', 'n3', 'n4']) b.way(id).mishaps.up()
  await fleet.clock.advance(2_500)
  assert.deepEqual(idsOf(b), ['n4', 'n5', 'n6'])
  await ended(fleet, load)
})

test('a node that has lost its record is given it again', async () => {
  const { fleet, load, a } = await loaded()
  await fleet.until(a.tier.changeRing({ remove: ['n1'] }))
  const record = async () => decodeRecord(await fleet.node('n2').control.get('topology'))
  const before = await record()
  await fleet.node('n2').apply([{ op: 'drop', key: 'rt:!topology' }])
  await fleet.clock.advance(1_000)
  assert.ok(before !== undefined)
  assert.deepEqual(await record(), before)
  await ended(fleet, load)
})

test('caches with rings of their own turn with the tier', async () => {
  const { fleet, load, a, b } = await loaded()
  const own = { ttl: '1h', strategy: cacheAside(), replicas: 1, nodes: ['n1', 'n2', 'n3'] } as const
  const [one, other] = [a.tier.cache<unknown>('own', own), b.tier.cache<unknown>('own', own)]
  for (let nth = 0; nth < 100; nth++) await fleet.until(one.set(keyOf(nth), nth), 0)
  await fleet.until(a.tier.changeRing({ remove: ['n1'] }), 20, load.step)
  for (let nth = 0; nth < 100; nth++) assert.equal(await fleet.until(other.get(keyOf(nth)), 0), nth)
  await ended(fleet, load)
})

test('a change that cannot be is refused before anything happens', async () => {
  const { fleet, load, a } = await loaded({ nodes: 3 })
  await assert.rejects(fleet.until(a.tier.changeRing({ remove: ['n1'] })), { code: 'CONFIGURATION' })
  await assert.rejects(fleet.until(a.tier.changeRing({ add: [a.way('n4')] }, { rate: 0 })), { code: 'CONFIGURATION' })
  assert.equal(a.tier.topology().epoch, 0)
  await ended(fleet, load)
})
