import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { settled } from '../../tests/support/cache-bench.ts'
import type { JournalError } from '../errors.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { DiskJournal, openJournal } from './disk-journal.ts'
import type { JournalRecord, JournalStep } from './journal.ts'
import { type FromWorker, type ToWorker, unpacked } from './journal-message.ts'

const COUNTS = { records: 0, deadLetters: 0, bytes: 0 }

function record(key: string, version: number, text = `value ${version}`): JournalRecord {
  return { cache: 'cart', key, version: BigInt(version), op: 'save', body: Buffer.from(text) }
}

const name = (key: string, version: number) => ({ cache: 'cart', key, version: BigInt(version) })

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'ringtail-journal-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return join(made, 'journal')
}

/** The thread that waits for the disk: a test says when a group is done, and whether there was room. */
class HandWorker extends EventEmitter {
  readonly groups: JournalStep[][] = []
  readonly others: ToWorker[] = []
  readonly held: boolean[] = []
  #id = 0

  postMessage(message: ToWorker): void {
    if (message.do !== 'commit') {
      this.others.push(message)
      return
    }
    this.#id = message.id
    this.groups.push(unpacked(message))
  }

  ref(): void {
    this.held.push(true)
  }

  unref(): void {
    this.held.push(false)
  }

  say(message: FromWorker): void {
    this.emit('message', message)
  }

  async done(): Promise<void> {
    this.say({ is: 'done', id: this.#id, counts: COUNTS })
    await settled()
  }

  async full(): Promise<void> {
    this.say({ is: 'undone', id: this.#id, counts: COUNTS, reason: 'full', message: 'its disk is full' })
    await settled()
  }

  /** The group under way, a word each. */
  get last(): string[] {
    return this.groups.at(-1)!.map((step) => {
      if ('id' in step) return `${step.do} ${step.id}`
      const { key, version } = 'record' in step ? step.record : step
      return `${step.do} ${key}@${version}`
    })
  }
}

async function bench() {
  const clock = new FakeClock()
  const worker = new HandWorker()
  const journal = new DiskJournal({ directory: 'by hand', maxBytes: 4_096 }, { clock, startWorker: () => worker })
  worker.say({ is: 'open', records: [], counts: COUNTS })
  await journal.opened
  const outcomes: string[] = []
  const follow = (what: string, promise: Promise<unknown>): void => {
    promise.then(
      () => outcomes.push(`${what} done`),
      (error: JournalError) => outcomes.push(`${what} ${error.reason ?? error.name}`),
    )
  }
  return { clock, worker, journal, outcomes, follow }
}

test('what makes room is never refused for the lack of it: alone after a group that failed, then after a pause and with the next write', async () => {
  const { clock, worker, journal, outcomes, follow } = await bench()
  follow('write a', journal.write(record('a', 1)))
  follow('forget b', journal.forget(name('b', 1)))
  follow('bury c', journal.bury(name('c', 1), 'no', 1))
  await settled()
  assert.deepEqual(worker.last, ['write a@1', 'forget b@1', 'bury c@1'])
  await worker.full()
  assert.deepEqual(outcomes, ['write a full'])
  assert.equal(journal.stats().state, 'full')
  assert.deepEqual(worker.last, ['forget b@1', 'bury c@1'])
  await worker.full()
  // No room even for that: it is not tried in a loop.
  assert.equal(worker.groups.length, 2)
  assert.equal(clock.pendingTimers, 1)
  follow('forget d', journal.forget(name('d', 1)))
  await settled()
  assert.equal(worker.groups.length, 2)
  await clock.advance(1_000)
  assert.deepEqual(worker.last, ['forget b@1', 'bury c@1', 'forget d@1'])
  await worker.full()
  follow('write e', journal.write(record('e', 2)))
  await settled()
  assert.deepEqual(worker.last, ['forget b@1', 'bury c@1', 'forget d@1', 'write e@2'])
  await worker.full()
  await worker.full()
  assert.deepEqual(outcomes, ['write a full', 'write e full'])
  await clock.advance(1_000)
  await worker.done()
  assert.deepEqual(outcomes.slice(2), ['forget b done', 'bury c done', 'forget d done'])
  assert.deepEqual([journal.stats().state, clock.pendingTimers], ['open', 0])
})

test('a write that came while what makes room found none is refused at once', async () => {
  const { worker, journal, outcomes, follow } = await bench()
  follow('forget a', journal.forget(name('a', 1)))
  await settled()
  follow('write b', journal.write(record('b', 2)))
  await worker.full()
  assert.deepEqual(outcomes, ['write b full'])
})

test('a retry that finds no room is refused, and what was forgotten with it is forgotten', async () => {
  const { worker, journal, outcomes, follow } = await bench()
  follow('write', journal.write(record('x', 1)))
  follow('retry', journal.retry([7]))
  await settled()
  const [list] = worker.others as { id: number }[]
  worker.say({ is: 'listed', id: list!.id, letters: [{ ...record('a', 1), id: 7, reason: 'no', atMs: 1 }] })
  await settled()
  follow('forget', journal.forget(name('b', 1)))
  await worker.done()
  assert.deepEqual(worker.last, ['retry 7', 'forget b@1'])
  await worker.full()
  assert.deepEqual(worker.last, ['forget b@1'])
  await worker.done()
  assert.deepEqual(outcomes, ['write done', 'retry full', 'forget done'])
})

test('of what waits to make room there is one step a key, whatever happens to it', async () => {
  const { worker, journal, outcomes, follow } = await bench()
  follow('write', journal.write(record('x', 1)))
  await settled()
  for (let turn = 1; turn <= 200_000; turn++) void journal.forget(name(`k${turn % 10}`, turn))
  follow('bury', journal.bury(name('k1', 300_000), 'no', 1))
  follow('bury of the forgotten', journal.bury(name('k2', 5), 'no', 1))
  follow('drop', journal.drop([]))
  await worker.done()
  assert.deepEqual(worker.last.slice(0, 3), ['forget k1@199991', 'forget k2@199992', 'forget k3@199993'])
  assert.equal(worker.last.length, 11)
  await worker.full()
  // Given back, they are one with those that came meanwhile.
  for (let turn = 1; turn <= 10; turn++) void journal.forget(name(`k${turn % 10}`, 400_000))
  follow('write k1', journal.write(record('k1', 400_001)))
  void journal.forget(name('k1', 400_001))
  await settled()
  assert.equal(worker.last.filter((each) => each.includes('k3@')).join(), 'forget k3@400000')
  assert.deepEqual(
    worker.last.filter((each) => each.includes('k1@')),
    ['forget k1@199991', 'bury k1@300000', 'forget k1@400000', 'write k1@400001', 'forget k1@400001'],
  )
  await worker.done()
  assert.deepEqual(outcomes.sort(), ['bury done', 'bury of the forgotten done', 'drop done', 'write done', 'write k1 done'])
})

test('more writes than may wait are refused, but nothing that makes room', async () => {
  const { worker, journal, outcomes, follow } = await bench()
  follow('first', journal.write(record('x', 1)))
  await settled()
  for (let nth = 0; nth < 65_536; nth++) journal.write(record(`k${nth}`, 2, '')).catch(() => {})
  follow('write', journal.write(record('one more', 2)))
  follow('forget', journal.forget(name('x', 1)))
  await settled()
  assert.deepEqual(outcomes, ['write full'])
  while (!outcomes.includes('forget done')) await worker.done()
  assert.equal(worker.groups.length, 66)
})

test('what was given before it was closed is on the disk, also in the same turn', async (t) => {
  const directory = folder(t)
  const journal = await openJournal({ directory })
  const written = journal.write(record('a', 1))
  await journal.close()
  await written
  await assert.rejects(journal.write(record('b', 2)), { name: 'ClosedError' })
  const again = await openJournal({ directory })
  assert.deepEqual(
    again.use('cart', { again: () => {} }).records.map(({ key }) => key),
    ['a'],
  )
  await again.close()
})

test('a journal whose disk stays full closes, and says so to what waited', async () => {
  const { worker, journal, outcomes, follow, clock } = await bench()
  follow('forget', journal.forget(name('a', 1)))
  await settled()
  await worker.full()
  follow('close', journal.close())
  await settled()
  assert.deepEqual(worker.last, ['forget a@1'])
  await worker.full()
  assert.deepEqual(outcomes, ['forget full'])
  assert.deepEqual(worker.others, [{ do: 'close' }])
  worker.emit('exit', 0)
  await settled()
  assert.deepEqual([outcomes.at(-1), clock.pendingTimers], ['close done', 0])
})

test('a list that is outstanding keeps the process alive, and ends when the worker does', async (t) => {
  const { worker, journal, outcomes, follow } = await bench()
  follow('list', journal.deadLetters())
  await settled()
  assert.equal(worker.held.at(-1), true)
  worker.emit('exit', 1)
  await settled()
  assert.deepEqual(outcomes, ['list broken'])
  await assert.rejects(journal.deadLetters(), { reason: 'broken' })
  const directory = folder(t)
  const script = `${directory}.mjs`
  writeFileSync(
    script,
    `import { openJournal } from ${JSON.stringify(new URL('./disk-journal.ts', import.meta.url).href)}
    const journal = await openJournal({ directory: ${JSON.stringify(directory)} })
    console.log((await journal.deadLetters()).length)`,
  )
  const { status, stdout } = spawnSync(process.execPath, ['--conditions=ringtail-source', script], { encoding: 'utf8' })
  assert.deepEqual([status, stdout], [0, '0\n'])
})

test('of several dead letters those that were taken again are saved again, though others were not', async () => {
  const { worker, journal, outcomes, follow } = await bench()
  const again: string[] = []
  journal.use('cart', { again: ({ key }) => again.push(key) })
  const letters = Array.from({ length: 1_025 }, (_, nth) => ({ ...record(`k${nth}`, 1), id: nth + 1, reason: 'no', atMs: 1 }))
  follow('retry', journal.retry(letters.map(({ id }) => id)))
  await settled()
  worker.say({ is: 'listed', id: (worker.others[0] as { id: number }).id, letters: letters.slice(0, 1_000) })
  await settled()
  worker.say({ is: 'listed', id: (worker.others[1] as { id: number }).id, letters: letters.slice(1_000) })
  await settled()
  await worker.done()
  await worker.full()
  assert.deepEqual([again.length, outcomes], [1_024, ['retry full']])
})
