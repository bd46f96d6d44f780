import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { type Channel, RespChannel } from './resp-channel.ts'
import { type Reply, ReplyError } from './resp-reader.ts'

/** A connection whose server is the test. */
function connection() {
  const written: string[] = []
  const stream = new Duplex({
    decodeStrings: false,
    read() {},
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  const errors: Error[] = []
  stream.on('error', (error) => errors.push(error))
  const told: string[] = []
  const channel = new RespChannel(stream, 'n1')
  const mget = (name: string, on: Channel = channel): void =>
    on.mget([name], {
      replied: (reply) => told.push(`${name} replied ${describe(reply)}`),
      lost: (error) => told.push(`${name} lost ${error.outcome}`),
    })
  const reply = async (bytes: string): Promise<void> => {
    stream.push(bytes)
    await settled()
  }
  return { stream, channel, written, errors, told, mget, reply }
}

const describe = (reply: Reply): string => (Array.isArray(reply) ? reply.map(describe).join() : String(reply))
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('each command is told its own reply, in the order of asking, though replies come together or in pieces', async () => {
  const c = connection()
  for (const name of ['a', 'b', 'c']) c.mget(name)
  assert.equal(c.written.length, 3, 'one write a command')
  await c.reply('*1\r\n$1\r\n1\r\n*1\r\n$')
  await c.reply('-1\r\n')
  c.mget('d')
  await c.reply('*1\r\n$1\r\n3\r\n*1\r\n$1\r\n4\r\n')
  assert.deepEqual(c.told, ['a replied 1', 'b replied null', 'c replied 3', 'd replied 4'])
})

test('an error reply is told as one, rejects a call, and costs no other command its reply', async () => {
  const c = connection()
  c.mget('a')
  const failing = c.channel.call('EVALSHA', ['abc', 0])
  const fine = c.channel.call('PING', [])
  const checked = assert.rejects(failing, (error) => error instanceof ReplyError && error.message === 'NOSCRIPT no such script')
  await c.reply('-LOADING soon\r\n-NOSCRIPT no such script\r\n+PONG\r\n')
  await checked
  assert.equal(String(await fine), 'PONG')
  assert.deepEqual(c.told, ['a replied ReplyError: LOADING soon'])
})

test('when the connection closes, every command without a reply is lost once, as one that may have been run', async () => {
  const c = connection()
  c.mget('a')
  const call = assert.rejects(c.channel.call('PING', []), { code: 'NODE_FAILED', outcome: 'unknown' })
  c.mget('b')
  await c.reply('*1\r\n$1\r\n1\r\n')
  c.stream.destroy()
  await call
  await settled()
  assert.deepEqual(c.told, ['a replied 1', 'b lost unknown'])
})

test('an error of the connection loses what is under way once too', async () => {
  const c = connection()
  c.mget('a')
  c.stream.destroy(new Error('ECONNRESET'))
  await settled()
  assert.deepEqual(c.told, ['a lost unknown'])
})

test('what is asked of a connection that ended is lost at once, as certainly not run, and not written', async () => {
  const c = connection()
  c.stream.destroy()
  c.mget('a')
  await settled()
  c.mget('b')
  await assert.rejects(c.channel.call('PING', []), { code: 'NODE_FAILED', outcome: 'failed' })
  assert.deepEqual(c.told, ['a lost failed', 'b lost failed'])
  assert.deepEqual(c.written, [])
})

test('bytes that are no reply end the connection, and nothing after them is taken for one', async () => {
  const c = connection()
  c.mget('a')
  c.mget('b')
  await c.reply('*1\r\n$1\r\n1\r\nHTTP/1.1 400 Bad Request\r\n*1\r\n$1\r\n2\r\n')
  assert.equal(c.stream.destroyed, true)
  assert.deepEqual(c.told, ['a replied 1', 'b lost unknown'])
  assert.deepEqual(
    c.errors.map((error) => error.name),
    ['ProtocolError'],
  )
})

test('a reply that nobody asked for ends the connection; a push does not', async () => {
  const c = connection()
  await c.reply('>2\r\n$10\r\ninvalidate\r\n_\r\n')
  c.mget('a')
  await c.reply('*1\r\n$1\r\n1\r\n')
  assert.equal(c.stream.destroyed, false)
  await c.reply('+OK\r\n')
  assert.equal(c.stream.destroyed, true)
  assert.deepEqual(c.told, ['a replied 1'])
})
