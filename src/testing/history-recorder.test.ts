import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { History, type Operation } from './history.ts'
import { HistoryRecorder, readHistory, sharedMs } from './history-recorder.ts'

const FULL: Operation = {
  process: 3,
  key: 'a "quoted" 😀 key',
  kind: 'update',
  value: 7,
  from: 'six',
  version: 2n ** 62n + 1n,
  level: 'quorum',
  boundMs: 12.5,
  session: 's',
  callMs: 1.25,
  returnMs: 1.75,
  outcome: 'unknown',
  markedStale: true,
}
const BARE: Operation = { process: 0, key: 'k', kind: 'read', callMs: 0, returnMs: 0, outcome: 'ok' }

test('what processes recorded is read back as it was, whatever the files’ sizes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-history-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const recorders = [new HistoryRecorder(join(folder, 'one')), new HistoryRecorder(join(folder, 'other'))]
  for (let nth = 0; nth < 20_000; nth++) recorders[nth % 2]!.record({ ...FULL, value: nth })
  recorders[1]!.record(BARE)
  for (const recorder of recorders) recorder.close()
  const history = readHistory(recorders.map(({ file }) => file))
  assert.equal(history.size, 20_001)
  assert.deepEqual(history.at(1), { ...FULL, value: 2 })
  assert.deepEqual(history.at(20_000), History.of([BARE]).at(0))
})

test('a line that a crash cut short is left out', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-history-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const recorder = new HistoryRecorder(join(folder, 'cut'))
  recorder.record(BARE)
  recorder.close()
  appendFileSync(recorder.file, '[0,"k","re')
  assert.equal(readHistory([recorder.file]).size, 1)
})

test('a full history says so', () => {
  const history = new History({ maxOperations: 2_000 })
  for (let nth = 0; nth < 2_000; nth++) history.add({ ...BARE, callMs: nth, returnMs: nth })
  assert.equal(history.at(1_999).callMs, 1_999)
  assert.throws(() => history.add(BARE), /holds at most 2000 operations/)
})

test('the shared clock does not go back', () => {
  const times = Array.from({ length: 100 }, sharedMs)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
})
