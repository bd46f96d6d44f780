import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import type { JournalError } from '../errors.ts'
import type { JournalRecord } from './journal.ts'
import { JOURNAL_FILE } from './journal-directory.ts'
import { JournalFile, type JournalRecovered } from './journal-file.ts'

const MAX_BYTES = 10_000_000

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'ringtail-journal-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return join(made, 'journal')
}

function record(key: string, version: number, text = `value ${version}`, op: JournalRecord['op'] = 'save'): JournalRecord {
  return { cache: 'cart', key, version: BigInt(version), op, body: Buffer.from(text) }
}

const textOf = ({ records }: Pick<JournalRecovered, 'records'>): Record<string, string> =>
  Object.fromEntries(records.map(({ key, version, body }) => [`${key}@${version}`, String(Buffer.from(body))]))

function reopened(directory: string): JournalRecovered {
  const { file, recovered } = JournalFile.open(directory, MAX_BYTES)
  file.close()
  return recovered
}

test('what was committed is there when the journal is opened again: of each key the newest, until it is forgotten', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, MAX_BYTES)
  file.commit([
    { do: 'write', record: record('a', 1) },
    { do: 'write', record: record('b', 2) },
  ])
  file.commit([
    { do: 'write', record: record('a', 3) },
    { do: 'write', record: record('a', 2) },
  ])
  file.commit([
    { do: 'forget', cache: 'cart', key: 'b', version: 1n },
    { do: 'write', record: record('c', 4, '', 'remove') },
  ])
  file.close()
  const recovered = reopened(directory)
  assert.deepEqual(textOf(recovered), { 'b@2': 'value 2', 'a@3': 'value 3', 'c@4': '' })
  assert.deepEqual(
    recovered.records.map(({ op }) => op),
    ['save', 'save', 'remove'],
  )
  const again = JournalFile.open(directory, MAX_BYTES).file
  again.commit([
    { do: 'forget', cache: 'cart', key: 'a', version: 3n },
    { do: 'forget', cache: 'cart', key: 'b', version: 2n },
  ])
  again.close()
  assert.deepEqual(textOf(reopened(directory)), { 'c@4': '' })
})

test('to forget takes out this version or an older one, to bury this one alone; a newer write stays', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, MAX_BYTES)
  file.commit(['a', 'b', 'c', 'd'].map((key) => ({ do: 'write', record: record(key, 5) }) as const))
  const name = (key: string, version: bigint) => ({ cache: 'cart', key, version })
  file.commit([
    { do: 'forget', ...name('a', 4n) },
    { do: 'forget', ...name('b', 6n) },
    { do: 'bury', ...name('c', 4n), reason: 'no', atMs: 1 },
    { do: 'bury', ...name('d', 6n), reason: 'no', atMs: 1 },
  ])
  file.close()
  assert.deepEqual(Object.keys(textOf(reopened(directory))), ['a@5', 'c@5', 'd@5'])
})

test('what is buried is a dead letter, with what the store said, until it is tried again or dropped', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, MAX_BYTES)
  file.commit([
    { do: 'write', record: record('a', 1) },
    { do: 'write', record: record('b', 2) },
  ])
  file.commit(
    ['a', 'b'].map((key, at) => ({ do: 'bury', cache: 'cart', key, version: BigInt(at + 1), reason: `no ${key}`, atMs: 77 }) as const),
  )
  file.close()
  assert.deepEqual(reopened(directory).records, [])
  const again = JournalFile.open(directory, MAX_BYTES).file
  const letters = again.listDead(10, 0)
  assert.deepEqual(
    letters.map(({ id, key, reason, atMs }) => [id, key, reason, atMs]),
    [
      [1, 'a', 'no a', 77],
      [2, 'b', 'no b', 77],
    ],
  )
  assert.deepEqual(
    again.listDead(10, 1).map(({ key }) => key),
    ['b'],
  )
  again.commit([
    { do: 'retry', id: 1 },
    { do: 'drop', id: 2 },
    { do: 'drop', id: 99 },
  ])
  assert.equal(again.deadLetters, 0)
  again.close()
  assert.deepEqual(textOf(reopened(directory)), { 'a@1': 'value 1' })
})

test('a group happens as a whole or not at all, and one for which there is no room not', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, 4_096)
  file.commit([{ do: 'write', record: record('a', 1, 'x'.repeat(2_000)) }])
  const group = [{ do: 'write', record: record('b', 2) } as const, { do: 'write', record: record('c', 3, 'x'.repeat(3_000)) } as const]
  assert.throws(
    () => file.commit(group),
    (error: JournalError) => error.reason === 'full' && /may hold 4096/.test(error.message),
  )
  assert.deepEqual([file.records, file.bytes], [1, 2_000 + 64 + 5])
  // What makes room is taken though the journal is full.
  file.commit([{ do: 'forget', cache: 'cart', key: 'a', version: 1n }])
  file.commit(group)
  file.close()
  assert.deepEqual(Object.keys(textOf(reopened(directory))), ['b@2', 'c@3'])
})

test('the directory and its files are their owner’s alone; a directory that was there keeps its mode', (t) => {
  const made = folder(t)
  const given = folder(t)
  mkdirSync(given)
  chmodSync(given, 0o755)
  writeFileSync(join(given, JOURNAL_FILE), '')
  chmodSync(join(given, JOURNAL_FILE), 0o644)
  for (const [directory, mode] of [
    [made, 0o700],
    [given, 0o755],
  ] as const) {
    const { file } = JournalFile.open(directory, MAX_BYTES)
    file.commit([{ do: 'write', record: record('a', 1) }])
    assert.equal(statSync(directory).mode & 0o777, mode)
    const files = readdirSync(directory)
    assert.ok(files.length >= 3)
    for (const each of files) assert.equal(statSync(join(directory, each)).mode & 0o777, 0o600, each)
    file.close()
  }
})

test('dead letters count, a write among them is never lost for lack of room, and what is bent of them is found', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, 4_096)
  file.commit([{ do: 'write', record: record('a', 1, 'x'.repeat(4_000)) }])
  file.commit([{ do: 'bury', cache: 'cart', key: 'a', version: 1n, reason: 'no such user'.repeat(1_000), atMs: 77 }])
  assert.deepEqual([file.records, file.deadLetters, file.bytes], [0, 1, 4_096])
  const [letter] = file.listDead(1, 0)
  assert.equal(letter!.reason, 'no such user'.repeat(3).slice(0, 4_096 - 4_000 - 64 - 5))
  assert.throws(
    () => file.commit([{ do: 'write', record: record('b', 2) }]),
    (error: JournalError) => error.reason === 'full',
  )
  file.commit([{ do: 'retry', id: letter!.id }])
  file.commit([{ do: 'bury', cache: 'cart', key: 'a', version: 1n, reason: 'no', atMs: 77 }])
  file.close()
  const bend = (what: string) => {
    const database = new DatabaseSync(join(directory, JOURNAL_FILE))
    database.exec(`update dead set ${what}`)
    database.close()
  }
  for (const [bent, mended] of [
    ['at = 78', 'at = 77'],
    ["reason = 'na'", "reason = 'no'"],
  ] as const) {
    bend(bent)
    assert.throws(() => reopened(directory), /the dead letter of "a" of cache 'cart' is bent/)
    bend(mended)
  }
  assert.deepEqual(reopened(directory).records, [])
})

test('keys come back as they were, also those that are no text', (t) => {
  const directory = folder(t)
  const keys = ['a\0b', '', 'x\ud800y', 'x\ud801y', 'ü']
  const { file } = JournalFile.open(directory, MAX_BYTES)
  file.commit(keys.map((key, nth) => ({ do: 'write', record: record(key, nth + 1) }) as const))
  file.commit([{ do: 'bury', cache: 'cart', key: 'x\ud801y', version: 4n, reason: 'no', atMs: 1 }])
  assert.equal(file.listDead(1, 0)[0]!.key, 'x\ud801y')
  file.close()
  assert.deepEqual(
    reopened(directory).records.map(({ key }) => key),
    keys.filter((key) => key !== 'x\ud801y'),
  )
})

test('a journal is one process’s: another is refused while the first lives, and not after it was killed', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, MAX_BYTES)
  const script = `import { JournalFile } from ${JSON.stringify(new URL('./journal-file.ts', import.meta.url).href)}
    try { JournalFile.open(${JSON.stringify(directory)}, 1000000).file.commit([{ do: 'write', record: { cache: 'c', key: 'k', version: 5n, op: 'save', body: new Uint8Array(3) } }]) }
    catch (error) { console.log(error.reason); process.exit(3) }
    process.kill(process.pid, 'SIGKILL')`
  const other = () =>
    spawnSync(process.execPath, ['--conditions=ringtail-source', '--input-type=module', '-e', script], { encoding: 'utf8' })
  const refused = other()
  assert.deepEqual([refused.status, refused.stdout], [3, 'busy\n'])
  file.close()
  assert.equal(other().signal, 'SIGKILL')
  assert.deepEqual(Object.keys(textOf(reopened(directory))), ['k@5'])
})

test('a file that is empty, or of a single byte, beside a log that is not is refused, and the log left', (t) => {
  const directory = folder(t)
  const { file } = JournalFile.open(directory, MAX_BYTES)
  file.commit([{ do: 'write', record: record('a', 1) }])
  const whole = join(directory, JOURNAL_FILE)
  for (const bytes of [0, 1]) {
    const cut = folder(t)
    mkdirSync(cut, { mode: 0o700 })
    writeFileSync(join(cut, JOURNAL_FILE), readFileSync(whole).subarray(0, bytes), { mode: 0o600 })
    const log = readFileSync(`${whole}-wal`)
    writeFileSync(join(cut, `${JOURNAL_FILE}-wal`), log, { mode: 0o600 })
    assert.throws(
      () => JournalFile.open(cut, MAX_BYTES),
      (error: JournalError) => error.reason === 'damaged' && /is empty, and its log is not/.test(error.message),
    )
    assert.deepEqual(readFileSync(join(cut, `${JOURNAL_FILE}-wal`)), log)
  }
  file.close()
})
