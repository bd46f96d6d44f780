import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NodeError } from '../errors.ts'
import { noEmit } from '../events.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import type { Bus, Listener } from './bus.ts'
import { BusInvalidations } from './bus-invalidations.ts'
import { type BusMessage, decodeMessage, encodeMessage } from './bus-message.ts'
import { HeardPublishers } from './heard-publishers.ts'
import type { Follower } from './invalidation.ts'
import { MemoryBus } from './memory-bus.ts'

class Ear implements Follower {
  readonly keys: string[] = []
  lost_ = 0
  changed(keys: readonly string[]): void {
    this.keys.push(...keys)
  }
  lost(): void {
    this.lost_++
    this.keys.length = 0
  }
}

/** A bus on which the test decides what becomes of each message. */
class FakeBus implements Bus {
  readonly sent: Uint8Array[] = []
  readonly listeners = new Set<Listener>()
  fate: (bytes: Uint8Array) => 'deliver' | 'lose' | 'refuse' | 'keep' = () => 'deliver'
  refuses = false

  async publish(_channel: string, bytes: Uint8Array): Promise<void> {
    const fate = this.fate(bytes)
    if (fate === 'refuse') throw new NodeError('not connected', 'bus')
    if (fate === 'keep') this.sent.push(bytes)
    if (fate === 'deliver') this.deliver(bytes)
  }

  async subscribe(_channel: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.refuses) throw new NodeError('not connected', 'bus')
    this.listeners.add(listener)
    return async () => void this.listeners.delete(listener)
  }

  async close(): Promise<void> {}

  deliver(bytes: Uint8Array): void {
    for (const listener of this.listeners) listener.received(bytes)
  }
}

function rig(bus: Bus = new FakeBus()) {
  const clock = new FakeClock()
  const emit = noEmit
  const [writer, reader] = [1, 2].map((seed) => new BusInvalidations({ bus, clock, random: seededRandom(seed), emit })) as [
    BusInvalidations,
    BusInvalidations,
  ]
  const ear = new Ear()
  reader.follow('rt:a:', ear)
  return { clock, writer, reader, ear, bus: bus as FakeBus }
}

test('what one process announces, the others hear, those of one turn in one message; it hears itself at once', async () => {
  const bus = new MemoryBus()
  const { clock, writer, reader, ear } = rig(bus)
  await clock.settle()
  assert.equal(reader.covers('rt:a:'), true)
  assert.equal(reader.covers('rt:b:'), false)
  let messages = 0
  await bus.subscribe('ringtail:invalidations', { received: () => messages++, lost() {} })
  const own = new Ear()
  writer.follow('rt:a:', own)
  writer.announce(['rt:a:1', 'rt:b:1'])
  writer.announce(['rt:a:2'])
  assert.deepEqual(own.keys, ['rt:a:1', 'rt:a:2'])
  await clock.settle()
  assert.deepEqual(ear.keys, ['rt:a:1', 'rt:a:2'])
  assert.deepEqual(own.keys, ['rt:a:1', 'rt:a:2'])
  assert.equal(messages, 1)
  assert.equal(ear.lost_, 0)
})

test('a last message that is lost is found by the heartbeat after it, within two seconds', async () => {
  const { clock, writer, ear, bus } = rig()
  await clock.settle()
  bus.fate = () => 'lose'
  writer.announce(['rt:a:1'])
  await clock.settle()
  bus.fate = () => 'deliver'
  await clock.advance(1_999)
  assert.equal(ear.lost_, 1)
  await clock.advance(60_000)
  assert.equal(ear.lost_, 1)
  assert.equal(clock.pendingTimers, 0, 'heartbeats end')
})

test('heartbeats that could not be sent do not count', async () => {
  const { clock, writer, ear, bus } = rig()
  await clock.settle()
  bus.fate = () => 'refuse'
  writer.announce(['rt:a:1'])
  await clock.advance(60_000)
  assert.equal(ear.lost_, 0)
  bus.fate = () => 'deliver'
  await clock.advance(1_000)
  assert.equal(ear.lost_, 1)
})

test('who meets a publisher in the middle may have missed what came before', async () => {
  const { clock, writer, bus } = rig()
  writer.announce(['rt:a:1'])
  await clock.advance(10_000)
  const late = new BusInvalidations({ bus, clock, random: seededRandom(3), emit: noEmit })
  const ear = new Ear()
  late.follow('rt:a:', ear)
  await clock.settle()
  writer.announce(['rt:a:2'])
  await clock.settle()
  assert.deepEqual([ear.lost_, ear.keys], [1, ['rt:a:2']])
})

test('more keys than can wait are announced as all', async () => {
  const { clock, writer, ear, bus } = rig()
  await clock.settle()
  let bytes = 0
  bus.fate = (message) => {
    bytes += message.length
    return 'deliver'
  }
  writer.announce(Array.from({ length: 50_000 }, (_, nth) => `rt:a:${nth}`))
  await clock.settle()
  assert.equal(ear.lost_, 1)
  assert.ok(bytes < 1_000)
})

test('a message is of at most a thousand keys', async () => {
  const { clock, writer, ear, bus } = rig()
  await clock.settle()
  const sizes: number[] = []
  bus.fate = (bytes) => {
    const message = decodeMessage(bytes)!
    if (message.kind === 'keys') sizes.push(message.keys.length)
    return 'deliver'
  }
  writer.announce(Array.from({ length: 2_500 }, (_, nth) => `rt:a:${nth}`))
  await clock.settle()
  assert.deepEqual(sizes, [1_000, 1_000, 500])
  assert.equal(ear.keys.length, 2_500)
})

test('while the link is down nothing is covered, both ends of it are lost, and a bus that refuses is tried again', async () => {
  const bus = new FakeBus()
  bus.refuses = true
  const { clock, reader, ear } = rig(bus)
  await clock.advance(5_000)
  assert.equal(reader.covers('rt:a:'), false)
  bus.refuses = false
  await clock.advance(2_000)
  assert.equal(reader.covers('rt:a:'), true)
  for (const listener of bus.listeners) listener.lost('down', false)
  assert.deepEqual([reader.covers('rt:a:'), ear.lost_], [false, 1])
  for (const listener of bus.listeners) listener.lost('up', true)
  assert.deepEqual([reader.covers('rt:a:'), ear.lost_], [true, 2])
  await reader.close()
  assert.equal(reader.covers('rt:a:'), false)
})

test('bytes that are no message are a loss, for they may have been one', async () => {
  const { clock, ear, bus } = rig()
  await clock.settle()
  bus.deliver(Buffer.from('nonsense that somebody else publishes'))
  assert.equal(ear.lost_, 1)
})

const fate = fc.constantFrom('deliver', 'lose', 'keep', 'refuse', 'repeat')

test('whatever a bus loses, repeats and reorders, each key is told, or a loss is, by the next message or heartbeat', async () => {
  const property = fc.asyncProperty(fc.array(fc.record({ fate, early: fc.boolean() }), { maxLength: 30 }), async (fates) => {
    const { clock, writer, ear, bus } = rig()
    await clock.settle()
    let nth = 0
    bus.fate = (bytes) => {
      const chosen = fates[nth]?.fate ?? 'deliver'
      if (fates[nth++]?.early === true) for (const kept of bus.sent.splice(0)) bus.deliver(kept)
      if (chosen === 'repeat') bus.deliver(bytes)
      return chosen === 'repeat' ? 'deliver' : chosen
    }
    // What is told after a key was announced says that it is to be forgotten.
    const held = new Set<string>()
    for (let round = 0; nth < fates.length; round++) {
      const key = `rt:a:${round}`
      held.add(key)
      const [before, told] = [ear.lost_, ear.keys.length]
      writer.announce([key])
      await clock.settle()
      if (ear.lost_ > before) held.clear()
      for (const heard of ear.keys.slice(ear.lost_ > before ? 0 : told)) held.delete(heard)
    }
    const before = ear.lost_
    await clock.advance(1_000)
    if (ear.lost_ > before) held.clear()
    for (const heard of ear.keys) held.delete(heard)
    assert.deepEqual([...held], [])
  })
  await fc.assert(property, { numRuns: 300 })
})

test('a message is read as it was written, and no cut of it as anything else', () => {
  const publisher = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((id) => id.toString(16).padStart(16, '0'))
  const number = fc.integer({ min: 1, max: 2 ** 48 - 1 })
  const keys = fc.array(
    fc.string({ unit: 'binary', maxLength: 20 }).filter((key) => key.isWellFormed()),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(publisher, number, keys, fc.nat(60), (publisher, number, keys, cut) => {
      const message: BusMessage = { kind: 'keys', publisher, number, keys }
      const bytes = encodeMessage(message)
      assert.deepEqual(decodeMessage(bytes), message)
      const read = decodeMessage(bytes.subarray(0, cut))
      assert.ok(read === undefined || (read.kind === 'keys' && keys.slice(0, read.keys.length).every((key, at) => key === read.keys[at])))
      for (const kind of ['heartbeat', 'all'] as const) {
        assert.deepEqual(decodeMessage(encodeMessage({ kind, publisher, number })), { kind, publisher, number })
      }
    }),
  )
})

test('a message that comes out of turn is one loss, and none when it comes after all', () => {
  const heard = new HeardPublishers()
  const misses = (number: number) => heard.misses({ kind: 'keys', publisher: 'a', number })
  assert.deepEqual([1, 3, 2, 4].map(misses), [false, true, false, false])
})

test('publishers are remembered up to a bound, and one that was forgotten is met anew', () => {
  const heard = new HeardPublishers(2)
  const misses = (publisher: string, number: number) => heard.misses({ kind: 'keys', publisher, number })
  assert.deepEqual([misses('a', 1), misses('a', 2), misses('b', 1), misses('c', 1)], [false, false, false, false])
  assert.equal(misses('a', 3), true)
  assert.equal(misses('c', 2), false)
})
