import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { JournalError, type JournalRecord } from '../src/index.ts'
import { openJournal } from '../src/journal/disk-journal.ts'
import { FakeClock } from '../src/testing/index.ts'

/**
 * On a real disk that is full. Where none can be mounted nothing of this is shown; what a journal does when it is told of no room is shown on every
 * machine by `disk-journal.test.ts`.
 */

const record = (nth: number): JournalRecord => ({
  cache: 'c',
  key: `k${nth}`,
  version: BigInt(nth),
  op: 'save',
  body: Buffer.alloc(2_000, 'x'),
})

/** A disk of its own, of a megabyte. @returns undefined where none can be mounted */
function smallDisk(t: TestContext): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-disk-'))
  t.after(() => {
    spawnSync('umount', [folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const { status, stderr, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' })
  if (status === 0) return folder
  t.diagnostic(`NOT SHOWN on this machine, which lets nobody mount a disk here: ${error?.message ?? stderr.trim()}`)
  return undefined
}

/** To the last byte. @returns what makes room again */
function fill(disk: string): () => void {
  const ballast = join(disk, 'rest')
  const descriptor = openSync(ballast, 'w')
  for (const bytes of [65_536, 4_096, 1]) {
    try {
      for (;;) writeSync(descriptor, Buffer.alloc(bytes))
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    }
  }
  closeSync(descriptor)
  return () => rmSync(ballast)
}

test('a journal whose disk is full refuses writes, keeps what it acknowledged, and goes on when there is room', async (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) return
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(400_000))
  const directory = join(disk, 'journal')
  const journal = await openJournal({ directory })
  const acknowledged: number[] = []
  let refused: unknown
  for (let nth = 1; nth < 1_000 && refused === undefined; nth++) {
    await journal.write(record(nth)).then(
      () => acknowledged.push(nth),
      (error) => {
        refused = error
      },
    )
  }
  assert.ok(refused instanceof JournalError && refused.reason === 'full', String(refused))
  assert.match(refused.message, /its disk is full/)
  assert.ok(acknowledged.length > 20)
  assert.equal(journal.stats().state, 'full')
  rmSync(join(disk, 'ballast'))
  await journal.write(record(5_000))
  assert.equal(journal.stats().state, 'open')
  await journal.close()
  const again = await openJournal({ directory })
  const { records } = again.use('c', { again: () => {} })
  assert.deepEqual(
    records.map(({ version }) => Number(version)),
    [...acknowledged, 5_000],
  )
  await again.close()
})

test('what is forgotten, buried and dropped while the disk is full is so once there is room', async (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) return
  const directory = join(disk, 'journal')
  const clock = new FakeClock()
  const journal = await openJournal({ directory }, { clock })
  for (let nth = 1; nth <= 12; nth++) await journal.write(record(nth))
  await journal.bury(record(12), 'no', 1)
  const makeRoom = fill(disk)
  const made: string[] = []
  const making = [
    ...Array.from({ length: 10 }, (_, nth) => journal.forget(record(nth + 1)).then(() => made.push('forgotten'))),
    journal.bury(record(11), 'no', 2).then(() => made.push('buried')),
    journal.drop([1]).then(() => made.push('dropped')),
  ]
  await assert.rejects(journal.write(record(13)), { reason: 'full' })
  await assert.rejects(journal.write(record(14)), { reason: 'full' })
  assert.deepEqual([made, journal.stats().records, journal.stats().deadLetters], [[], 11, 1])
  makeRoom()
  // Nobody writes any more: it is tried again by itself.
  for (let turn = 0; turn < 10_000 && made.length < 12; turn++) await clock.advance(1_000)
  await Promise.all(making)
  assert.deepEqual([journal.stats().records, journal.stats().deadLetters], [0, 1])
  await journal.close()
  const again = await openJournal({ directory })
  assert.deepEqual(again.use('c', { again: () => {} }).records, [])
  assert.deepEqual(
    (await again.deadLetters()).map(({ key }) => key),
    ['k11'],
  )
  await again.close()
})
