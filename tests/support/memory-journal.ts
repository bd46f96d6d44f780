/**
 * A journal that lies in memory, for what a strategy does with one: doors that a test opens stand for the disk.
 */
import { JournalError } from '../../src/errors.ts'
import type { DeadLetter, Journal, JournalRecord, JournalStats, JournalUser, RecordName } from '../../src/journal/journal.ts'

const nameOf = ({ cache, key }: Pick<RecordName, 'cache' | 'key'>): string => `${cache} ${key}`

export class MemoryJournal implements Journal {
  readonly records = new Map<string, JournalRecord>()
  readonly letters: DeadLetter[] = []
  /** While set, no write is taken. */
  refuses: JournalError['reason'] | undefined
  /** While set, writes wait for it. */
  disk: Promise<void> | undefined
  readonly #users = new Map<string, JournalUser>()
  #ids = 0

  use(cache: string, user: JournalUser) {
    this.#users.set(cache, user)
    const of = (records: Iterable<JournalRecord>) => [...records].filter((record) => record.cache === cache)
    return { records: of(this.records.values()) }
  }

  async write(record: JournalRecord): Promise<void> {
    await this.#take()
    const held = this.records.get(nameOf(record))
    if (held === undefined || held.version < record.version) this.records.set(nameOf(record), record)
  }

  async forget(name: RecordName): Promise<void> {
    const held = this.records.get(nameOf(name))
    if (held !== undefined && held.version <= name.version) this.records.delete(nameOf(name))
  }

  async bury(name: RecordName, reason: string, atMs: number): Promise<void> {
    const record = this.records.get(nameOf(name))
    if (record?.version !== name.version) return
    this.records.delete(nameOf(name))
    this.letters.push({ ...record, id: ++this.#ids, reason, atMs })
  }

  async deadLetters(after = 0): Promise<readonly DeadLetter[]> {
    return this.letters.filter(({ id }) => id > after)
  }

  async retry(ids: readonly number[]): Promise<number> {
    const again = this.letters.filter(({ id }) => ids.includes(id))
    await this.drop(ids)
    for (const letter of again) {
      this.records.set(nameOf(letter), letter)
      this.#users.get(letter.cache)?.again(letter)
    }
    return again.length
  }

  async drop(ids: readonly number[]): Promise<number> {
    const before = this.letters.length
    this.letters.splice(0, before, ...this.letters.filter(({ id }) => !ids.includes(id)))
    return before - this.letters.length
  }

  stats(): JournalStats {
    const counts = { records: this.records.size, deadLetters: this.letters.length, bytes: 0, steps: 0, groups: 0 }
    return { directory: 'memory', maxBytes: 0, state: 'open', ...counts }
  }

  async close(): Promise<void> {}

  async #take(): Promise<void> {
    await this.disk
    if (this.refuses !== undefined) throw new JournalError(`journal memory: is ${this.refuses}`, this.refuses)
  }
}
