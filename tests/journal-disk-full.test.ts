import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { JournalError, type JournalRecord, openJournal } from '../src/index.ts'

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
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status === 0 ? folder : undefined
}

test('a journal whose disk is full refuses writes, keeps what it acknowledged, and goes on when there is room', async (t) => {
  const disk = smallDisk(t)
  if (disk === undefined) {
    t.diagnostic('not shown on this machine: it takes the right to mount a disk')
    return
  }
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
