import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { endOf, SECTOR_BYTES, type State, saltsOf, torn, writeGroups } from '../../tests/journal/written.ts'
import { seededRandom } from '../testing/index.ts'
import { damageOfLog } from './journal-log.ts'

const HEADER_BYTES = 32
const FRAME_BYTES = 4_120

function written(t: TestContext, groups: number, seed: number): State[] {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return writeGroups(join(folder, 'journal'), { groups, keys: 40, checkpointPages: 60 }, seededRandom(seed))
}

function frames(log: Buffer): { page: number; isCommit: boolean }[] {
  const found = []
  for (let at = HEADER_BYTES; at < endOf(log); at += FRAME_BYTES)
    found.push({ page: log.readUInt32BE(at), isCommit: log.readUInt32BE(at + 4) !== 0 })
  return found
}

test('a group begins at or below page 2, which it has, rises to one above it, and has its mark there alone', (t) => {
  let groups = 0
  for (const { log } of written(t, 60, 1).slice(1)) {
    let group: number[] = []
    for (const { page, isCommit } of frames(log)) {
      group.push(page)
      if (!isCommit) continue
      assert.deepEqual(
        group,
        [...new Set(group)].sort((one, other) => one - other),
      )
      assert.ok(group.includes(2) && group.at(-1)! > 2, String(group))
      groups++
      group = []
    }
    assert.deepEqual(group, [])
  }
  assert.ok(groups > 60)
})

test('a group that is torn in any one place is not damage, also over the frames of an earlier use of the log', (t) => {
  const states = written(t, 34, 2)
  let tries = 0
  let halves = 0
  for (const [nth, after] of states.entries()) {
    const before = states[nth - 1]
    if (before === undefined) continue
    const anew = !saltsOf(before.log).equals(saltsOf(after.log))
    for (let sector = 0; sector * SECTOR_BYTES < endOf(after.log); sector++) {
      if (!anew && (sector + 1) * SECTOR_BYTES <= endOf(before.log)) continue
      for (const came of [(other: number) => other === sector, (other: number) => other !== sector]) {
        const { log } = torn(before, after, came)
        assert.equal(damageOfLog(log), undefined, `group ${nth}, sector ${sector}`)
        tries++
      }
      // The salts came, and what is before them in the header did not.
      if ((sector * SECTOR_BYTES - HEADER_BYTES) % FRAME_BYTES === 8 && before.log.length > sector * SECTOR_BYTES) halves++
    }
  }
  assert.ok(tries > 500 && halves > 0, `${tries} tries, ${halves} of half a header`)
})

test('any bit of any frame that is bent is damage, where it is not of the last group', (t) => {
  const states = written(t, 7, 3)
  const [before, last] = states.slice(-2) as [State, State]
  const random = seededRandom(3)
  for (let at = 0; at < endOf(before.log); at++) {
    const inFrame = (at - HEADER_BYTES) % FRAME_BYTES
    // Of a page a few; of a header all.
    const isHeader = at < HEADER_BYTES || inFrame < 24
    if (!isHeader && random() > 0.003) continue
    for (let bit = 0; bit < (isHeader ? 8 : 1); bit++) {
      const log = Buffer.from(last.log)
      log[at]! ^= 1 << bit
      assert.ok(damageOfLog(log) !== undefined, `bit ${bit} of byte ${at}`)
    }
  }
  assert.equal(damageOfLog(last.log), undefined)
})

test('a hole as long as a frame is damage too, where a frame that was synced lies in it', (t) => {
  const states = written(t, 40, 4)
  for (const [nth, last] of states.entries()) {
    const before = states[nth - 1]
    if (before === undefined || !saltsOf(before.log).equals(saltsOf(last.log))) continue
    // Of the two last groups' frames: a page, and the header of the frame that follows.
    for (let at = Math.max(HEADER_BYTES, endOf(before.log) - 8 * FRAME_BYTES); at < endOf(before.log); at += FRAME_BYTES) {
      const log = Buffer.from(last.log).fill(0, at + 24, at + 24 + FRAME_BYTES)
      assert.ok(damageOfLog(log) !== undefined, `group ${nth}, hole at ${at}`)
    }
  }
})
