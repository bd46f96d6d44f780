/**
 * The write-behind journal of one process: what it has acknowledged and the store does not have yet, on disk.
 *
 * Writes gather while a group is on its way to the disk and leave together when that is done, so that one wait serves all who came meanwhile;
 * a call resolves once its group is on the disk. The disk is waited for in a worker: the event loop never is. What a group costs here is
 * bounded, and so is what waits.
 *
 * A journal that is full refuses writes and goes on with everything else; one that the disk failed takes nothing more until it is opened again,
 * for what a failed sync has left on the disk is not known. Both are told by the error, and whoever writes saves to the store itself then.
 */
import type { Worker } from 'node:worker_threads'
import { ClosedError, ConfigurationError, JournalError, OverloadError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import type { DeadLetter, Journal, JournalCounts, JournalRecord, JournalStats, JournalStep, JournalUser, RecordName } from './journal.ts'
import { type FromWorker, packed, type ToWorker, type WorkerSetting } from './journal-message.ts'

export interface JournalOptions {
  /** Of this process alone; made if it is not there, readable by its owner only. On a disk that is not lost with the process. */
  readonly directory: string
  /** What the writes that the store does not have yet may take, bytes. Above it writes go straight to the store. Default 256 MiB. */
  readonly maxBytes?: number | undefined
}

const OPTIONS = ['directory', 'maxBytes']
const MAX_BYTES = 268_435_456
/** Of one group: bounds what a group's wait can be. */
const GROUP_STEPS = 1_024
const GROUP_BYTES = 4_194_304
/** Steps waiting at most. */
const MAX_WAITING = 65_536
const LISTED = 1_000

/**
 * Opens a journal and reads what it holds.
 * @throws ConfigurationError for an option that cannot be @throws JournalError when it is damaged, another process's, or cannot be opened
 */
export async function openJournal(options: JournalOptions): Promise<DiskJournal> {
  knownOptions(options, 'openJournal', OPTIONS)
  if (typeof options.directory !== 'string' || options.directory === '') {
    throw ConfigurationError.of('openJournal: directory', 'a path', options.directory)
  }
  const maxBytes = wholeNumber(options.maxBytes ?? MAX_BYTES, 'openJournal: maxBytes', 4_096)
  const journal = new DiskJournal({ directory: options.directory, maxBytes })
  await journal.opened
  return journal
}

interface Waiting {
  readonly step: JournalStep
  readonly promise: PromiseWithResolvers<void>
}

export class DiskJournal implements Journal {
  readonly directory: string
  readonly maxBytes: number
  /** Resolves once the file is read; use `openJournal`. */
  readonly opened: Promise<void>
  readonly #worker: Worker
  readonly #users = new Map<string, JournalUser>()
  readonly #recovered = new Map<string, { records: JournalRecord[]; intents: JournalRecord[] }>()
  readonly #lists = new Map<number, PromiseWithResolvers<readonly DeadLetter[]>>()
  readonly #closed = Promise.withResolvers<void>()
  #waiting: Waiting[] = []
  #group: readonly Waiting[] | undefined
  #counts: JournalCounts = { records: 0, deadLetters: 0, bytes: 0 }
  #state: JournalStats['state'] = 'open'
  #broken: JournalError | undefined
  #steps = 0
  #groups = 0
  #ids = 0

  constructor(setting: WorkerSetting) {
    this.directory = setting.directory
    this.maxBytes = setting.maxBytes
    const source = new URL(import.meta.url.endsWith('.ts') ? './journal-worker.ts' : './journal-worker.js', import.meta.url)
    // Not imported: it would cost every user of the library time to load.
    const threads = process.getBuiltinModule('node:worker_threads')
    this.#worker = new threads.Worker(source, { workerData: setting, name: 'ringtail journal' })
    this.opened = this.#open()
  }

  use(cache: string, user: JournalUser): { readonly records: readonly JournalRecord[]; readonly intents: readonly JournalRecord[] } {
    if (this.#users.has(cache))
      throw ConfigurationError.of('writeBehind: journal', 'a journal that no other cache of this name uses', cache)
    this.#users.set(cache, user)
    const recovered = this.#recovered.get(cache) ?? { records: [], intents: [] }
    this.#recovered.delete(cache)
    return recovered
  }

  write(record: JournalRecord): Promise<void> {
    return this.#do({ do: 'write', record })
  }

  intend(record: JournalRecord): Promise<void> {
    return this.#do({ do: 'intent', record })
  }

  confirm({ cache, key, version }: RecordName): Promise<void> {
    return this.#do({ do: 'confirm', cache, key, version })
  }

  cancel({ cache, key, version }: RecordName): Promise<void> {
    return this.#do({ do: 'cancel', cache, key, version })
  }

  forget({ cache, key, version }: RecordName): Promise<void> {
    return this.#do({ do: 'forget', cache, key, version })
  }

  bury({ cache, key, version }: RecordName, reason: string, atMs: number): Promise<void> {
    return this.#do({ do: 'bury', cache, key, version, reason, atMs })
  }

  async deadLetters(after = 0): Promise<readonly DeadLetter[]> {
    this.#check()
    const id = ++this.#ids
    const listed = Promise.withResolvers<readonly DeadLetter[]>()
    this.#lists.set(id, listed)
    this.#say({ do: 'list', id, limit: LISTED, after })
    return listed.promise
  }

  async retry(ids: readonly number[]): Promise<number> {
    const letters = await this.#lettersOf(ids)
    await Promise.all(letters.map(({ id }) => this.#do({ do: 'retry', id })))
    for (const letter of letters) {
      const user = this.#users.get(letter.cache)
      if (user !== undefined) user.again(letter)
      else this.#keep(letter, 'records')
    }
    return letters.length
  }

  async drop(ids: readonly number[]): Promise<number> {
    const letters = await this.#lettersOf(ids)
    await Promise.all(letters.map(({ id }) => this.#do({ do: 'drop', id })))
    return letters.length
  }

  stats(): JournalStats {
    const { directory, maxBytes } = this
    return { directory, maxBytes, state: this.#state, ...this.#counts, steps: this.#steps, groups: this.#groups }
  }

  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#state = 'closed'
      this.#worker.ref()
      if (this.#group === undefined) this.#say({ do: 'close' })
    }
    await this.#closed.promise
  }

  async #lettersOf(ids: readonly number[]): Promise<DeadLetter[]> {
    const wanted = new Set(ids)
    const letters: DeadLetter[] = []
    for (let after = 0; letters.length < wanted.size; ) {
      const some = await this.deadLetters(after)
      if (some.length === 0) break
      letters.push(...some.filter(({ id }) => wanted.has(id)))
      after = some.at(-1)!.id
    }
    return letters
  }

  #do(step: JournalStep): Promise<void> {
    try {
      this.#check()
      if (this.#broken !== undefined) throw this.#broken
      if (this.#waiting.length >= MAX_WAITING)
        throw new OverloadError(`journal ${this.directory}: ${MAX_WAITING} steps wait for the disk already`)
    } catch (refused) {
      return Promise.reject(refused)
    }
    const promise = Promise.withResolvers<void>()
    this.#waiting.push({ step, promise })
    if (this.#group === undefined && this.#waiting.length === 1) queueMicrotask(() => this.#send())
    return promise.promise
  }

  #check(): void {
    if (this.#state === 'closed') throw new ClosedError(`journal ${this.directory} is closed`)
  }

  #send(): void {
    if (this.#group !== undefined) return
    if (this.#waiting.length === 0) {
      if (this.#state === 'closed') this.#say({ do: 'close' })
      return
    }
    let count = 0
    for (let bytes = 0; count < this.#waiting.length && count < GROUP_STEPS && bytes < GROUP_BYTES; count++) {
      const { step } = this.#waiting[count]!
      bytes += 'record' in step ? step.record.body.length : 0
    }
    this.#group = this.#waiting.splice(0, count)
    // Whoever waits for the disk keeps the process alive; an idle journal does not.
    this.#worker.ref()
    this.#say(
      packed(
        ++this.#ids,
        this.#group.map(({ step }) => step),
      ),
    )
  }

  #say(message: ToWorker): void {
    this.#worker.postMessage(message)
  }

  async #open(): Promise<void> {
    const opening = Promise.withResolvers<void>()
    this.#worker.on('message', (message: FromWorker) => {
      if (message.is === 'open') {
        this.#counts = message.counts
        for (const record of message.records) this.#keep(record, 'records')
        for (const record of message.intents) this.#keep(record, 'intents')
        opening.resolve()
      } else if (message.is === 'failed') opening.reject(new JournalError(message.message, message.reason))
      else this.#hear(message)
    })
    this.#worker.on('error', (error) => {
      opening.reject(error)
      this.#breakDown(new JournalError(`journal ${this.directory}: its worker ended: ${error.message}`, 'broken', { cause: error }))
    })
    this.#worker.on('exit', () => {
      this.#breakDown(new JournalError(`journal ${this.directory}: its worker ended`, 'broken'))
      this.#closed.resolve()
    })
    await opening.promise
    this.#worker.unref()
  }

  #keep(record: JournalRecord, where: 'records' | 'intents'): void {
    const ofCache = this.#recovered.get(record.cache) ?? { records: [], intents: [] }
    ofCache[where].push(record)
    this.#recovered.set(record.cache, ofCache)
  }

  #hear(message: Exclude<FromWorker, { is: 'open' | 'failed' }>): void {
    if (message.is === 'closed') return
    if (message.is === 'listed') {
      this.#lists.get(message.id)?.resolve(message.letters)
      this.#lists.delete(message.id)
      return
    }
    const group = this.#group!
    this.#group = undefined
    if (this.#state !== 'closed') this.#worker.unref()
    this.#counts = message.counts
    this.#groups++
    if (message.is === 'done') {
      this.#steps += group.length
      if (this.#state === 'full') this.#state = 'open'
      for (const { promise } of group) promise.resolve()
    } else this.#undone(group, new JournalError(message.message, message.reason))
    this.#send()
  }

  #undone(group: readonly Waiting[], error: JournalError): void {
    if (error.reason !== 'full') {
      for (const { promise } of group) promise.reject(error)
      this.#breakDown(error)
      return
    }
    if (this.#state === 'open') this.#state = 'full'
    // What makes room is not to fail with what needs it.
    const needs = group.filter(({ step }) => 'record' in step)
    const makes = needs.length === 0 ? [] : group.filter(({ step }) => !('record' in step))
    for (const { promise } of needs.length === 0 ? group : needs) promise.reject(error)
    this.#waiting.unshift(...makes)
  }

  #breakDown(error: JournalError): void {
    if (this.#broken !== undefined) return
    this.#broken = error
    if (this.#state !== 'closed') this.#state = 'broken'
    const waiting = [...(this.#group ?? []), ...this.#waiting]
    this.#group = undefined
    this.#waiting = []
    for (const { promise } of waiting) promise.reject(error)
    for (const { reject } of this.#lists.values()) reject(error)
    this.#lists.clear()
  }
}
