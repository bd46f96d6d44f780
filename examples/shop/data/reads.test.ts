import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../usage-error.ts'
import { readReads } from './reads.ts'
import { temporaryFile } from './temporary-file.ts'

test('objects are numbered in order of first appearance; the whole line is the object', async (t) => {
  const reads = await readReads(temporaryFile(t, 'type,id,idx\n30,0,1\n17,1,0\n30,0,1\n30,0,2\n', { gzip: true }))
  assert.deepEqual([...reads.order], [0, 1, 0, 2])
  assert.equal(reads.objects, 3)
})

test('a trace of keys is read too, without a newline at its end and with the returns of another system', async (t) => {
  const reads = await readReads(temporaryFile(t, 'key\r\n7\r\n5\r\n7'))
  assert.deepEqual([...reads.order], [0, 1, 0])
})

test('bad lines are counted with their numbers and skipped', async (t) => {
  const reads = await readReads(temporaryFile(t, 'type,id,idx\n1,2,3\n1,2\nx,y,z\n1,2,3\n'))
  assert.deepEqual([...reads.order], [0, 0])
  assert.deepEqual(
    reads.bad.shown.map(({ line }) => line),
    [3, 4],
  )
})

test('a trace larger than a chunk keeps its order', async (t) => {
  const lines = Array.from({ length: 200_000 }, (_, index) => `1,${index % 70_000},0`)
  const reads = await readReads(temporaryFile(t, `type,id,idx\n${lines.join('\n')}\n`))
  assert.equal(reads.order.length, 200_000)
  assert.equal(reads.objects, 70_000)
  assert.ok(reads.order.every((object, index) => object === index % 70_000))
})

test('a chunk of more lines than twice the room so far loses none of them', async (t) => {
  const lines = Array.from({ length: 400_000 }, (_, index) => index % 10)
  const reads = await readReads(temporaryFile(t, `key\n${lines.join('\n')}\n`, { gzip: true }))
  assert.equal(reads.order.length, 400_000)
  assert.ok(reads.order.every((object, index) => object === index % 10))
})

test('what comes after the most reads is left out, and counted', async (t) => {
  const reads = await readReads(temporaryFile(t, 'key\n1\n2\n1\n3\n4\n'), undefined, 3)
  assert.deepEqual([[...reads.order], reads.objects, reads.leftOut], [[0, 1, 0], 2, 2])
})

test('another header, no reads, or no text at all is a usage error', async (t) => {
  for (const content of ['ts,op\n1,2\n', 'key\n', '', new Uint8Array([0x1f, 0x8b, 1, 2, 3]), `key\n${'x'.repeat(3_000_000)}`]) {
    await assert.rejects(readReads(temporaryFile(t, content)), UsageError)
  }
})
