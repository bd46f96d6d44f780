import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { SOON, stage, until, whileNothingComes } from './tcp-stage.ts'

test('without toxics bytes come through as they are, and are counted each way', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const one = client()
  await one.says('hello')
  assert.deepEqual(proxy.forwarded, { up: 5, down: 5 })
  assert.deepEqual([proxy.connections, proxy.accepted], [1, 1])
  one.socket.end()
  await until(() => proxy.connections === 0)
  assert.deepEqual([one.ends, echo.ends], [['end'], ['end']])
})

test('megabytes come through whole, held up where the receiver does not read', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  echo.echoes = false
  const one = client()
  const all = Buffer.alloc(32 * 1_024 * 1_024, 'abcdefghij')
  await until(() => echo.sockets.length === 1)
  echo.sockets[0]!.pause()
  one.socket.write(all)
  await whileNothingComes()
  assert.ok(proxy.forwarded.up < all.length / 2, `${proxy.forwarded.up} bytes were taken in by nobody`)
  echo.sockets[0]!.resume()
  await until(() => echo.heard.length === all.length)
  assert.ok(Buffer.from(echo.heard, 'latin1').equals(all))
})

test('latency delays each byte by just so much each way', SOON, async (t) => {
  const { proxy, client, clock, echo } = await stage(t)
  proxy.set({ latencyMs: 200 }, 'up')
  proxy.set({ latencyMs: 50 }, 'down')
  const one = client()
  one.send('ping')
  await until(() => proxy.held.up === 4)
  await clock.advance(199)
  assert.equal(echo.heard, '')
  await clock.advance(1)
  await until(() => proxy.held.down === 4)
  await clock.advance(49)
  assert.equal(one.text, '')
  await clock.advance(1)
  await until(() => one.text === 'ping')
})

test('latency does not add up: what came 10 ms apart leaves 10 ms apart', SOON, async (t) => {
  const { proxy, client, clock, echo } = await stage(t)
  proxy.set({ latencyMs: 100 }, 'up')
  const one = client()
  for (const letter of 'abcdefghij') {
    const before = proxy.held.up + proxy.forwarded.up
    one.send(letter)
    await until(() => proxy.held.up + proxy.forwarded.up === before + 1)
    await clock.advance(10)
  }
  // The first came at 0 and is due at 100, which it is now; the last came at 90.
  await until(() => echo.heard === 'a')
  clock.stall(35)
  await clock.advance(0)
  await until(() => echo.heard === 'abcd')
  await clock.advance(5)
  await until(() => echo.heard === 'abcde')
  await clock.advance(50)
  await until(() => echo.heard === 'abcdefghij')
})

test('jitter never lets a byte overtake another, and is the same for the same seed', SOON, async (t) => {
  const arrivals = async (seed: number): Promise<number[]> => {
    const { proxy, client, clock, echo } = await stage(t, { seed })
    proxy.set({ latencyMs: 10, jitterMs: 100 }, 'up')
    const one = client()
    for (const [at, letter] of [...'abcdef'].entries()) {
      one.send(letter)
      await until(() => proxy.held.up === at + 1)
    }
    const when: number[] = []
    for (let ms = 1; ms <= 110; ms++) {
      await clock.advance(1)
      while (when.length < proxy.forwarded.up) when.push(ms)
    }
    await until(() => echo.heard.length === 6)
    assert.equal(echo.heard, 'abcdef')
    return when
  }
  const [once1, again, other] = [await arrivals(7), await arrivals(7), await arrivals(8)]
  assert.equal(once1.length, 6)
  assert.deepEqual(again, once1)
  assert.notDeepEqual(other, once1)
  assert.ok(new Set(once1).size > 1 && once1[0]! >= 10)
})

test('latency that is taken off lets go at once of what it held', SOON, async (t) => {
  const { proxy, client, clock } = await stage(t)
  proxy.set({ latencyMs: 60_000 })
  const one = client()
  one.send('late')
  await until(() => proxy.held.up === 4)
  proxy.set({ latencyMs: undefined })
  await until(() => one.text === 'late')
  assert.equal(clock.monotonic(), 0)
})

test('the end of a stream is as late as its bytes, and so is a reset', SOON, async (t) => {
  const { proxy, client, clock, echo } = await stage(t)
  const [one, other] = [client(), client()]
  await Promise.all([one.says('a'), other.says('b')])
  proxy.set({ latencyMs: 100 }, 'up')
  one.socket.end('end')
  await until(() => proxy.held.up === 3)
  await clock.advance(99)
  assert.deepEqual(echo.ends, [])
  await clock.advance(1)
  await until(() => echo.ends.length === 1)
  assert.ok(echo.heard.endsWith('end'))
  await until(() => one.ends.length === 1)
  other.socket.resetAndDestroy()
  await until(() => clock.pendingTimers === 1)
  await clock.advance(99)
  assert.deepEqual(echo.ends, ['end'])
  await clock.advance(1)
  await until(() => echo.ends.length === 2)
  assert.deepEqual(echo.ends, ['end', 'ECONNRESET'])
})

test('bandwidth lets through so many bytes a second, on time though timers are late', SOON, async (t) => {
  const { proxy, client, clock, echo } = await stage(t)
  proxy.set({ bytesPerSecond: 10_000 }, 'up')
  const one = client()
  one.send('x'.repeat(20_000))
  await until(() => proxy.held.up === 20_000)
  await clock.advance(500)
  assert.equal(proxy.forwarded.up, 5_000)
  clock.stall(333)
  await clock.advance(167)
  assert.equal(proxy.forwarded.up, 10_000)
  proxy.set({ bytesPerSecond: 100_000 }, 'up')
  await clock.advance(100)
  assert.equal(proxy.forwarded.up, 20_000)
  await until(() => echo.heard.length === 20_000)
})

test('bytes that wait have a bound, and the sender is held up', SOON, async (t) => {
  const { proxy, client, clock, echo } = await stage(t, { maxHeldBytes: 100_000 })
  echo.echoes = false
  proxy.set({ latencyMs: 1_000 }, 'up')
  const one = client()
  one.socket.write(Buffer.alloc(16 * 1_024 * 1_024))
  await until(() => proxy.held.up >= 100_000)
  await whileNothingComes()
  assert.ok(proxy.held.up < 100_000 + 65_536, `${proxy.held.up} bytes wait`)
  assert.ok(one.socket.writableNeedDrain)
  proxy.set({ latencyMs: 0 }, 'up')
  await until(() => echo.heard.length === 16 * 1_024 * 1_024)
  assert.equal(proxy.held.up, 0)
  assert.equal(clock.pendingTimers, 0)
})

test('slices are reads of their own, of one byte to as many as were said', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const one = client()
  proxy.set({ sliceBytes: 1 }, 'down')
  await one.says('byte by byte')
  assert.deepEqual(one.chunks, [...'byte by byte'])
  assert.equal(echo.heard, 'byte by byte')
  proxy.set({ sliceBytes: 4 }, 'down')
  one.chunks.length = 0
  await one.says('x'.repeat(400))
  const sizes = new Set(one.chunks.map((chunk) => chunk.length))
  assert.deepEqual([...sizes].sort(), [1, 2, 3, 4])
})

test('what comes after slicing was taken off does not overtake what is still being sliced', SOON, async (t) => {
  const { proxy, client } = await stage(t)
  const one = client()
  for (let round = 0; round < 50; round++) {
    proxy.set({ sliceBytes: 1 }, 'up')
    one.send('abc')
    await until(() => proxy.forwarded.up > 6 * round)
    proxy.set({ sliceBytes: undefined }, 'up')
    one.send('def')
    await until(() => one.text.length === 6 * (round + 1))
  }
  assert.equal(one.text, 'abcdef'.repeat(50))
})

test('a chunk is cut once, at the byte that was said, wherever that is', SOON, async (t) => {
  const { proxy, client } = await stage(t)
  const one = client()
  const reply = '$5\r\nhello\r\n'
  for (let at = 1; at < reply.length; at++) {
    proxy.set({ cutAfterBytes: at }, 'down')
    one.chunks.length = 0
    await one.says(reply)
    assert.deepEqual(one.chunks, [reply.slice(0, at), reply.slice(at)])
  }
})

test('whatever the toxics, what was sent is what comes', SOON, async (t) => {
  const { proxy, client, clock } = await stage(t)
  const toxics = fc.record(
    {
      latencyMs: fc.integer({ min: 0, max: 20 }),
      jitterMs: fc.integer({ min: 0, max: 20 }),
      bytesPerSecond: fc.integer({ min: 1_000, max: 1_000_000 }),
      sliceBytes: fc.integer({ min: 1, max: 50 }),
      cutAfterBytes: fc.integer({ min: 1, max: 50 }),
      blackhole: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  const steps = fc.array(fc.tuple(toxics, toxics, fc.string({ maxLength: 100, unit: 'grapheme-ascii' })), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(steps, async (each) => {
      const one = client()
      for (const [up, down, text] of each) {
        proxy.set(up, 'up')
        proxy.set(down, 'down')
        one.send(text)
        await clock.advance(7)
      }
      await proxy.heal()
      const sent = each.map(([, , text]) => text).join('')
      await until(() => one.text.length >= sent.length)
      assert.equal(one.text, sent)
      one.socket.end()
      await one.ended()
    }),
    { numRuns: 60 },
  )
})

test('a blackhole accepts and is silent, and what was sent into it comes once it is lifted', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const early = client()
  await early.says('a')
  proxy.set({ blackhole: true })
  const late = client()
  await once(late.socket, 'connect')
  early.send('b')
  late.send('c')
  await until(() => proxy.connections === 2)
  await whileNothingComes()
  assert.deepEqual([echo.heard, echo.sockets.length, early.text, late.text], ['a', 1, 'a', ''])
  proxy.set({ blackhole: false })
  await until(() => early.text === 'ab' && late.text === 'c')
})

test('a drop of one way alone leaves the other: the server hears, and is not heard', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  proxy.set({ blackhole: true }, 'down')
  const one = client()
  one.send('down')
  await until(() => echo.heard === 'down')
  await whileNothingComes()
  assert.equal(one.text, '')
  proxy.set({ blackhole: true }, 'up')
  proxy.set({ blackhole: undefined }, 'down')
  await until(() => one.text === 'down')
  one.send('up')
  echo.sockets[0]!.write('!')
  await until(() => one.text === 'down!')
  await whileNothingComes()
  assert.equal(echo.heard, 'down')
  await proxy.heal()
  await until(() => echo.heard === 'downup')
})

test('who leaves during a blackhole is not known to have left until it is over', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const [one, other] = [client(), client()]
  await Promise.all([one.says('a'), other.says('b')])
  proxy.set({ blackhole: true })
  one.socket.end('c')
  other.socket.resetAndDestroy()
  await whileNothingComes()
  assert.deepEqual(echo.ends, [])
  await proxy.heal()
  await until(() => echo.ends.length === 2)
  assert.deepEqual(echo.ends.sort(), ['ECONNRESET', 'end'])
  assert.equal([...echo.heard].sort().join(''), 'abc')
  await until(() => proxy.connections === 0)
})

test('who connects and leaves during a blackhole never came, however much it said', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  proxy.set({ blackhole: true })
  const [one, other, staying] = [client(), client(), client()]
  await until(() => proxy.connections === 3)
  one.socket.end('a')
  other.send('b')
  await until(() => proxy.held.up === 1 + 1)
  other.socket.resetAndDestroy()
  staying.send('c')
  await until(() => proxy.connections === 1)
  await proxy.heal()
  await until(() => staying.text === 'c')
  assert.deepEqual([echo.heard, echo.sockets.length], ['c', 1])
})
