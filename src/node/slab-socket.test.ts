import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { connectInSlabs, LEAST_ROOM_BYTES, SLAB_BYTES } from './slab-socket.ts'

const servers: Server[] = []
after(() => {
  for (const server of servers) server.close()
})

/** Both ends of a connection. */
async function ends(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer()
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const near = connectInSlabs('127.0.0.1', (server.address() as { port: number }).port)
  const [far] = (await accepted) as [Socket]
  return { near, far }
}

/** Sends pieces one by one, each once the one before has come. @returns what came for each */
async function sent({ near, far }: { near: Socket; far: Socket }, pieces: readonly Buffer[]): Promise<Buffer[][]> {
  const all: Buffer[][] = []
  for (const piece of pieces) {
    const chunks: Buffer[] = []
    const whole = new Promise<void>((resolve) => {
      let bytes = 0
      const take = (chunk: Buffer): void => {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes < piece.length) return
        near.off('data', take)
        resolve()
      }
      near.on('data', take)
    })
    far.write(piece)
    await whole
    all.push(chunks)
  }
  return all
}

test('small reads share a slab, and nothing that was read is written over', async () => {
  const both = await ends()
  const pieces = Array.from({ length: 400 }, (_, nth) => Buffer.alloc(700, nth % 251))
  const all = await sent(both, pieces)
  // Compared at the end, when everything that could write over it has come.
  for (const [nth, piece] of pieces.entries()) assert.deepEqual(Buffer.concat(all[nth]!), piece)
  const slabs = new Set(all.flat().map(({ buffer }) => buffer))
  // 280,000 bytes, of which at least 48 KiB fit each slab.
  assert.ok(slabs.size >= 5 && slabs.size <= 7, `needs 5 to 7 slabs, but got: ${slabs.size}`)
  for (const { byteLength } of slabs) assert.equal(byteLength, SLAB_BYTES)
  both.near.destroy()
  both.far.destroy()
})

test('what is larger than a slab comes whole, in pieces', async () => {
  const both = await ends()
  const piece = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7) % 253))
  const [chunks] = await sent(both, [piece])
  assert.deepEqual(Buffer.concat(chunks!), piece)
  for (const chunk of chunks!) assert.ok(chunk.buffer.byteLength <= SLAB_BYTES)
  both.near.destroy()
  both.far.destroy()
})

test('what follows in a slab has room for twice as much as what came before', async () => {
  const both = await ends()
  const all = await sent(
    both,
    Array.from({ length: 40 }, (_, nth) => Buffer.alloc(1_000 + 1_000 * (nth % 20), 1)),
  )
  const chunks = all.flat()
  let followed = 0
  for (const [nth, chunk] of chunks.entries()) {
    const before = chunks[nth - 1]
    if (before?.buffer !== chunk.buffer) continue
    followed++
    const room = SLAB_BYTES - chunk.byteOffset
    assert.ok(room >= Math.max(LEAST_ROOM_BYTES, 2 * before.length), `needs twice ${before.length} bytes, but got: ${room}`)
  }
  assert.ok(followed > 0)
  both.near.destroy()
  both.far.destroy()
})

test('the memory of what came cannot be given away, for more is read into it', async () => {
  const both = await ends()
  const [[chunk]] = (await sent(both, [Buffer.from('one')])) as [[Buffer]]
  assert.throws(() => structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] }), { name: 'DataCloneError' })
  const [second] = await sent(both, [Buffer.from('two')])
  assert.equal(Buffer.concat(second!).toString(), 'two')
  both.near.destroy()
  both.far.destroy()
})

test('the end and a failure are told as by any socket', async () => {
  const both = await ends()
  both.near.resume()
  both.far.end()
  await once(both.near, 'close')
  const refused = connectInSlabs('127.0.0.1', 1)
  const [error] = (await once(refused, 'error')) as [Error & { code: string }]
  assert.equal(error.code, 'ECONNREFUSED')
})
