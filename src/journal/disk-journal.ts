/**
 * The write-behind journal of one process: what it has acknowledged and the store does not have yet, on disk.
 *
 * Writes gather while a group is on its way to the disk and leave together when that is done, so that one wait serves all who came meanwhile;
 * a call resolves once its group is on the disk. The disk is waited for in a worker: the event loop never is. What a group costs here is
 * bounded, and so is what waits.
 *
 * A journal that is full refuses writes. What makes room is never refused: where the disk has none even for that, it waits, and is tried again with
 * the next write and after a pause. A journal that the disk failed takes nothing more until it is opened again, for what a failed sync has left
 * on the disk is not known. Both are told by the error, and whoever writes saves to the store itself then.
 */
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { ClosedError, ConfigurationError, JournalError, OverloadError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import type { DeadLetter, Journal, JournalCounts, JournalRecord, JournalStats, JournalStep, JournalUser, RecordName } from './journal.ts'
import { type FromWorker, packed, type ToWorker, type WorkerSetting } from './journal-message.ts'
import { needsRoom, StepQueue, type WaitingStep } from './step-queue.ts'

export interface JournalOptions {
  /** Of this process alone; made if it is not there, readable by its owner only. On a disk that is not lost with the process. */
  readonly directory: string
  /** What the writes that the store does not have yet, and those that it refused for good, may take, bytes. Above it writes go straight to the store. Default 256 MiB. */
  readonly maxBytes?: number | undefined
}

const OPTIONS = ['directory', 'maxBytes']
const MAX_BYTES = 268_435_456
/** Steps that need room, waiting at most. */
const MAX_WAITING = 65_536
const LISTED = 1_000
/** Until what makes room is tried again where the disk had none for it, ms. */
const PAUSE_MS = 1_000

/** The thread that waits for the disk, as far as a journal speaks to it. */
export interface JournalWorker {
  postMessage(message: ToWorker): void
  on(event: 'message', hear: (message: FromWorker) => void): unknown
  on(event: 'error', hear: (error: Error) => void): unknown
  on(event: 'exit', hear: () => void): unknown
  ref(): void
  unref(): void
}

/** Handed in by tests. */
export interface JournalParts {
  readonly clock: Clock
  readonly startWorker: (setting: WorkerSetting) => JournalWorker
}

/**
 * Opens a journal and reads what it holds.
 * @param parts those of the system where there are none
 * @throws ConfigurationError for an option that cannot be @throws JournalError when it is damaged, another process's, or cannot be opened
 */
export async function openJournal(options: JournalOptions, parts: Partial<JournalParts> = {}): Promise<DiskJournal> {
  knownOptions(options, 'openJournal', OPTIONS)
  if (typeof options.directory !== 'string' || options.directory === '') {
    throw ConfigurationError.of('openJournal: directory', 'a path', options.directory)
  }
  const maxBytes = wholeNumber(options.maxBytes ?? MAX_BYTES, 'openJournal: maxBytes', 4_096)
  const journal = new DiskJournal({ directory: options.directory, maxBytes }, { ...SYSTEM, ...parts })
  await journal.opened
  return journal
}

const SYSTEM: JournalParts = {
  clock: systemClock,
  startWorker(setting) {
    const source = new URL(import.meta.url.endsWith('.ts') ? './journal-worker.ts' : './journal-worker.js', import.meta.url)
    // Not imported: it would cost every user of the library time to load.
    const threads = process.getBuiltinModule('node:worker_threads')
    return new threads.Worker(source, { workerData: setting, name: 'ringtail journal' })
  },
}

export class DiskJournal implements Journal {
  readonly directory: string
  readonly maxBytes: number
  /** Resolves once the file is read; use `openJournal`. */
  readonly opened: Promise<void>
  readonly #clock: Clock
  readonly #worker: JournalWorker
  readonly #users = new Map<string, JournalUser>()
  readonly #recovered = new Map<string, JournalRecord[]>()
  readonly #lists = new Map<number, PromiseWithResolvers<readonly DeadLetter[]>>()
  readonly #closed = Promise.withResolvers<void>()
  readonly #queue = new StepQueue()
  #group: readonly WaitingStep[] | undefined
  /** The next group is to make room alone, for the last one found none. */
  #makersOnly = false
  #pause: Timer | undefined
  #counts: JournalCounts = { records: 0, deadLetters: 0, bytes: 0 }
  #state: JournalStats['state'] = 'open'
  /** The disk failed, or the worker ended. */
  #broken: JournalError | undefined
  #hasEnded = false
  #isSending = false
  #isClosing = false
  #steps = 0
  #groups = 0
  #ids = 0

  constructor(setting: WorkerSetting, { clock, startWorker }: JournalParts) {
    this.directory = setting.directory
    this.maxBytes = setting.maxBytes
    this.#clock = clock
    this.#worker = startWorker(setting)
    this.opened = this.#open()
  }

  use(cache: string, user: JournalUser): { readonly records: readonly JournalRecord[] } {
    if (this.#users.has(cache))
      throw ConfigurationError.of('writeBehind: journal', 'a journal that no other cache of this name uses', cache)
    this.#users.set(cache, user)
    const records = this.#recovered.get(cache) ?? []
    this.#recovered.delete(cache)
    return { records }
  }

  write(record: JournalRecord): Promise<void> {
    return this.#do({ do: 'write', record })
  }

  forget({ cache, key, version }: RecordName): Promise<void> {
    return this.#do({ do: 'forget', cache, key, version })
  }

  bury({ cache, key, version }: RecordName, reason: string, atMs: number): Promise<void> {
    return this.#do({ do: 'bury', cache, key, version, reason, atMs })
  }

  async deadLetters(after = 0): Promise<readonly DeadLetter[]> {
    this.#check()
    if (this.#hasEnded) throw this.#broken
    const id = ++this.#ids
    const listed = Promise.withResolvers<readonly DeadLetter[]>()
    this.#lists.set(id, listed)
    this.#say({ do: 'list', id, limit: LISTED, after })
    return listed.promise
  }

  async retry(ids: readonly number[]): Promise<number> {
    const letters = await this.#lettersOf(ids)
    const retried = await Promise.allSettled(letters.map(({ id }) => this.#do({ do: 'retry', id })))
    for (const [nth, letter] of letters.entries()) {
      if (retried[nth]!.status === 'rejected') continue
      const user = this.#users.get(letter.cache)
      if (user !== undefined) user.again(letter)
      else this.#keep(letter)
    }
    for (const each of retried) if (each.status === 'rejected') throw each.reason
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
      if (this.#group === undefined) this.#send()
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
      if (needsRoom(step) && this.#queue.needing >= MAX_WAITING)
        throw new OverloadError(`journal ${this.directory}: ${MAX_WAITING} steps wait for the disk already`)
    } catch (refused) {
      return Promise.reject(refused)
    }
    const done = this.#queue.add(step)
    // What makes room has its pause; what needs some is to be told at once.
    if (this.#group === undefined && (this.#pause === undefined || needsRoom(step))) this.#sendSoon()
    return done
  }

  #check(): void {
    if (this.#state === 'closed') throw new ClosedError(`journal ${this.directory} is closed`)
  }

  /** In a microtask, so that what one turn writes is one group. */
  #sendSoon(): void {
    if (this.#isSending) return
    this.#isSending = true
    queueMicrotask(() => {
      this.#isSending = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#group !== undefined || this.#isClosing) return
    this.#pause?.cancel()
    this.#pause = undefined
    const group = this.#queue.take(this.#makersOnly)
    if (group.length === 0 && this.#makersOnly) {
      this.#makersOnly = false
      this.#send()
      return
    }
    if (group.length > 0) {
      this.#group = group
      this.#say(
        packed(
          ++this.#ids,
          group.map(({ step }) => step),
        ),
      )
    } else if (this.#state === 'closed') {
      this.#isClosing = true
      this.#say({ do: 'close' })
    }
  }

  #say(message: ToWorker): void {
    this.#worker.postMessage(message)
    this.#attend()
  }

  /** Whoever waits for the disk keeps the process alive; an idle journal does not. */
  #attend(): void {
    if (this.#group !== undefined || this.#lists.size > 0 || this.#state === 'closed') this.#worker.ref()
    else this.#worker.unref()
  }

  async #open(): Promise<void> {
    const opening = Promise.withResolvers<void>()
    this.#worker.on('message', (message: FromWorker) => {
      if (message.is === 'open') {
        this.#counts = message.counts
        for (const record of message.records) this.#keep(record)
        opening.resolve()
      } else if (message.is === 'failed') opening.reject(new JournalError(message.message, message.reason))
      else this.#hear(message)
    })
    this.#worker.on('error', (error) => {
      opening.reject(error)
      this.#breakDown(new JournalError(`journal ${this.directory}: its worker ended: ${error.message}`, 'broken', { cause: error }))
    })
    this.#worker.on('exit', () => {
      this.#hasEnded = true
      opening.reject(new JournalError(`journal ${this.directory}: its worker ended`, 'broken'))
      this.#breakDown(new JournalError(`journal ${this.directory}: its worker ended`, 'broken'))
      this.#closed.resolve()
    })
    await opening.promise
    this.#attend()
  }

  #keep(record: JournalRecord): void {
    const ofCache = this.#recovered.get(record.cache) ?? []
    ofCache.push(record)
    this.#recovered.set(record.cache, ofCache)
  }

  #hear(message: Exclude<FromWorker, { is: 'open' | 'failed' }>): void {
    if (message.is === 'closed') return
    if (message.is === 'listed' || message.is === 'unlisted') {
      const list = this.#lists.get(message.id)
      this.#lists.delete(message.id)
      this.#attend()
      if (message.is === 'listed') list?.resolve(message.letters)
      else list?.reject(new JournalError(message.message, message.reason))
      return
    }
    const group = this.#group!
    this.#group = undefined
    this.#attend()
    this.#counts = message.counts
    this.#groups++
    if (message.is === 'done') {
      this.#steps += group.length
      this.#makersOnly = false
      if (this.#state === 'full') this.#state = 'open'
      for (const { promise } of group) promise.resolve()
    } else this.#undone(group, new JournalError(message.message, message.reason))
    if (this.#pause === undefined && this.#broken === undefined) this.#send()
  }

  #undone(group: readonly WaitingStep[], error: JournalError): void {
    if (error.reason !== 'full') {
      this.#breakDown(error, group)
      return
    }
    if (this.#state === 'open') this.#state = 'full'
    this.#queue.giveBack(group, error)
    // What makes room is not to fail with what needs it.
    this.#makersOnly = group.some(({ step }) => needsRoom(step))
    if (this.#makersOnly) return
    // There is none even for that: whoever needs some is not to wait for it.
    this.#queue.refuseNeeding(error)
    if (this.#state === 'closed') this.#queue.refuseAll(error)
    else this.#pause = this.#clock.after(PAUSE_MS, () => this.#send())
  }

  #breakDown(error: JournalError, group = this.#group): void {
    if (this.#broken !== undefined && !this.#hasEnded) return
    this.#broken ??= error
    if (this.#state !== 'closed') this.#state = 'broken'
    this.#pause?.cancel()
    this.#group = undefined
    for (const { promise } of group ?? []) promise.reject(error)
    this.#queue.refuseAll(error)
    if (this.#state === 'closed' && !this.#hasEnded) this.#send()
    if (!this.#hasEnded) return
    for (const { reject } of this.#lists.values()) reject(error)
    this.#lists.clear()
  }
}
