import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError, type Reply, ReplyError, RespReader } from './resp-reader.ts'

/** A reply as the server sends it, and as it is to be told; nothing is told of what is skipped. */
interface Sent {
  readonly bytes: Buffer
  readonly told: readonly Reply[]
}

const sent = (bytes: string | Buffer, ...told: Reply[]): Sent => ({ bytes: Buffer.from(bytes), told })

function announced(type: string, body: Buffer, told: Reply): Sent {
  return sent(Buffer.concat([Buffer.from(`${type}${body.length}\r\n`), body, Buffer.from('\r\n')]), told)
}

function aggregate(type: string, items: readonly Sent[], count = items.length): Sent {
  const bytes = Buffer.concat([Buffer.from(`${type}${count}\r\n`), ...items.map((item) => item.bytes)])
  return { bytes, told: type === '>' ? [] : [items.flatMap((item) => item.told)] }
}

const body = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))
const word = fc.stringMatching(/^[a-zA-Z ]{0,20}$/)
const bulk = body.map((bytes) => announced('$', bytes, bytes))
const nothing = fc.constantFrom(sent('$-1\r\n', null), sent('*-1\r\n', null), sent('_\r\n', null))
const leaf = fc.oneof(
  bulk,
  nothing,
  word.map((text) => sent(`+${text}\r\n`, Buffer.from(text))),
  word.map((text) => sent(`-${text}\r\n`, new ReplyError(text))),
  word.map((text) => announced('!', Buffer.from(text), new ReplyError(text))),
  word.map((text) => announced('=', Buffer.from(`txt:${text}`), Buffer.from(text))),
  fc.integer().map((n) => sent(`:${n}\r\n`, n)),
  fc.bigInt().map((n) => sent(`(${n}\r\n`, String(n))),
  fc
    .double({ noNaN: true })
    .map((n) => String(n).replace('Infinity', 'inf'))
    .map((text) => sent(`,${text}\r\n`, Buffer.from(text))),
  fc.boolean().map((b) => sent(b ? '#t\r\n' : '#f\r\n', b ? 1 : 0)),
)
const push = fc.array(leaf, { maxLength: 3 }).map((items) => aggregate('>', items))
/** An attribute and what it is of: told is only the latter. */
const attributed = fc.tuple(leaf, leaf, leaf).map(([key, value, of]) => ({
  bytes: Buffer.concat([Buffer.from('|1\r\n'), key.bytes, value.bytes, of.bytes]),
  told: of.told,
}))
const mget = fc.array(fc.oneof(bulk, nothing), { maxLength: 30 }).map((items) => aggregate('*', items))
const tree = fc.letrec<{ reply: Sent }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    leaf,
    attributed,
    mget,
    fc.tuple(fc.constantFrom('*', '~'), fc.array(tie('reply'), { maxLength: 5 })).map(([type, items]) => aggregate(type, items)),
    fc.array(fc.tuple(tie('reply'), tie('reply')), { maxLength: 3 }).map((pairs) => aggregate('%', pairs.flat(), pairs.length)),
  ),
})).reply

function read(chunks: readonly Buffer[]): Reply[] {
  const told: Reply[] = []
  const reader = new RespReader((reply) => told.push(reply))
  for (const chunk of chunks) reader.write(chunk)
  return told
}

function sliced(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    // A copy: what is told must not depend on what lies beside the chunk.
    chunks.push(Buffer.from(bytes.subarray(at, at + size)))
    at += size
  }
  return chunks
}

const slices = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 10 })

test('any replies, cut at any bytes, are told whole, in order, and pushes and attributes not at all', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(tree, push), { minLength: 1, maxLength: 6 }), slices, (replies, sizes) => {
      const bytes = Buffer.concat(replies.map((reply) => reply.bytes))
      const told = replies.flatMap((reply) => reply.told)
      assert.deepEqual(read([bytes]), told)
      assert.deepEqual(read(sliced(bytes, sizes)), told)
      assert.deepEqual(read(sliced(bytes, [1])), told)
    }),
    { numRuns: 500 },
  )
})

test('malformed bytes are a ProtocolError or wait for more, however they are cut, and the replies before them are told the same', () => {
  const outcome = (chunks: readonly Buffer[]): [Reply[], boolean] => {
    const told: Reply[] = []
    const reader = new RespReader((reply) => told.push(reply))
    try {
      for (const chunk of chunks) reader.write(chunk)
      return [told, false]
    } catch (thrown) {
      assert.ok(thrown instanceof ProtocolError, String(thrown))
      return [told, true]
    }
  }
  fc.assert(
    fc.property(
      fc.array(tree, { minLength: 1, maxLength: 3 }),
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      slices,
      (replies, at, byte, sizes) => {
        const bytes = Buffer.concat(replies.map((reply) => reply.bytes))
        bytes[at % bytes.length] = byte
        // A line without its end is refused only once an end comes.
        const ended = Buffer.concat([bytes, Buffer.from('\n\n\r\n')])
        assert.deepEqual(outcome(sliced(ended, sizes)), outcome([ended]))
      },
    ),
    { numRuns: 500 },
  )
})

test('what is no reply is refused', () => {
  for (const bytes of [
    'HTTP/1.1 400 Bad Request\r\n',
    '$\r\n',
    '$-2\r\n',
    '$-11\r\n',
    '$+3\r\nabc\r\n',
    '$3\r\nabcd\r\n',
    '$3\r\nabc\n\n',
    '$3\rxabc\r\n',
    '*x\r\n',
    '*2\n',
    '*1\r\n$3\r\nabcd\r\n',
    ':1.5\r\n',
    ':\r\n',
    '#y\r\n',
    '_x\r\n',
    ',1,5\r\n',
    '(0x1\r\n',
    '+no carriage return\n',
    '=3\r\ntxt\r\n',
    '$?\r\n',
    '\r\n',
  ]) {
    assert.throws(() => read([Buffer.from(bytes)]), ProtocolError, JSON.stringify(bytes))
    assert.throws(() => read(sliced(Buffer.from(bytes), [1])), ProtocolError, JSON.stringify(bytes))
  }
})

test('a length past the limit is refused, and one within it takes no memory before the bytes come', () => {
  for (const bytes of ['$536870913\r\n', '!999999999999999999999999\r\n', '*16777217\r\n', '%8388609\r\n']) {
    assert.throws(() => read([Buffer.from(bytes)]), ProtocolError, bytes)
  }
  const before = process.memoryUsage()
  const readers = Array.from({ length: 100 }, () => new RespReader(() => assert.fail('no reply is whole')))
  for (const reader of readers) reader.write(Buffer.from('*16777216\r\n*16777216\r\n$536870912\r\nabc'))
  const after = process.memoryUsage()
  assert.ok(after.arrayBuffers + after.heapTotal - before.arrayBuffers - before.heapTotal < 64 * 1024 * 1024)
})

test('arrays in arrays without end, and a line without end, are refused', () => {
  assert.throws(() => read([Buffer.from('*1\r\n'.repeat(2_000))]), ProtocolError)
  const reader = new RespReader(() => {})
  const line = Buffer.alloc(1_000, 'x')
  reader.write(Buffer.from('+'))
  assert.throws(() => {
    for (let i = 0; i < 100; i++) reader.write(line)
  }, ProtocolError)
})

test('a reply that goes on past the limit of one reply is refused', () => {
  const reader = new RespReader(() => {})
  const chunk = Buffer.concat([Buffer.from(`$${2 ** 20}\r\n`), Buffer.alloc(2 ** 20), Buffer.from('\r\n')])
  reader.write(Buffer.from('*16777216\r\n'))
  assert.throws(() => {
    for (let i = 0; i < 1_100; i++) reader.write(chunk)
  }, ProtocolError)
})

test('a string in many chunks is put together once', (t) => {
  const concat = t.mock.method(Buffer, 'concat')
  const large = Buffer.alloc(4 * 1024 * 1024, 'abcdefg')
  const told = read([Buffer.from(`*2\r\n$${large.length}\r\n`), ...sliced(large, [1_000]), Buffer.from('\r\n$-1\r\n')])
  assert.equal(concat.mock.callCount(), 1)
  assert.ok(large.equals((told[0] as Buffer[])[0]!))
})

test('strings that lie whole in a chunk are views of it', () => {
  const chunk = Buffer.from('*2\r\n$3\r\nabc\r\n$0\r\n\r\n')
  const [[abc, empty]] = read([chunk]) as [[Buffer, Buffer]]
  assert.equal(abc.buffer, chunk.buffer)
  assert.ok(Buffer.isBuffer(abc))
  assert.equal(abc.toString(), 'abc')
  assert.equal(empty.length, 0)
})
