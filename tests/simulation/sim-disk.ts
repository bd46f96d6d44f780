/**
 * The disk of a write-behind journal in the simulation, and the thread that waits for it: the journal over them is the production one.
 *
 * A group takes its time to the disk, and the word that it is there takes a moment more. A process that is killed before the first has written
 * nothing; one that is killed before the second has acknowledged nothing, and its successor finds the group all the same.
 */
import { EventEmitter } from 'node:events'
import type { Random } from '../../src/clock.ts'
import type { JournalWorker } from '../../src/journal/disk-journal.ts'
import type { JournalRecord, JournalStep, RecordName } from '../../src/journal/journal.ts'
import { type FromWorker, type ToWorker, unpacked } from '../../src/journal/journal-message.ts'
import type { VirtualTime } from './virtual-time.ts'

const OPEN_MS = 5
const TOLD_MS = 0.1
/** Mean of what a group takes above the least, ms. */
const MEAN_MS = 1
const LEAST_MS = 0.3

export interface SimDiskParts {
  readonly time: VirtualTime
  readonly random: Random
}

export class SimDisk {
  readonly #parts: SimDiskParts
  readonly #records = new Map<string, JournalRecord>()

  constructor(parts: SimDiskParts) {
    this.#parts = parts
  }

  get records(): readonly JournalRecord[] {
    return [...this.#records.values()].sort((a, b) => (a.version < b.version ? -1 : 1))
  }

  /** @param owner the process whose thread it is */
  worker(owner: string): JournalWorker {
    return new SimJournalWorker(this, owner, this.#parts)
  }

  commit(steps: readonly JournalStep[]): void {
    for (const step of steps) {
      if (step.do === 'write') this.#write(step.record)
      else if (step.do === 'forget') this.#forget(step)
      else throw new Error(`a simulated disk knows no dead letters, but got: ${step.do}`)
    }
  }

  #write(record: JournalRecord): void {
    const held = this.#records.get(nameOf(record))
    if (held === undefined || held.version < record.version) this.#records.set(nameOf(record), { ...record, body: record.body.slice() })
  }

  #forget(name: RecordName): void {
    const held = this.#records.get(nameOf(name))
    if (held !== undefined && held.version <= name.version) this.#records.delete(nameOf(name))
  }
}

class SimJournalWorker extends EventEmitter implements JournalWorker {
  readonly #disk: SimDisk
  readonly #owner: string
  readonly #parts: SimDiskParts

  constructor(disk: SimDisk, owner: string, parts: SimDiskParts) {
    super()
    this.#disk = disk
    this.#owner = owner
    this.#parts = parts
    this.#tell(OPEN_MS, () => ({ is: 'open', records: disk.records, counts: this.#counts() }))
  }

  postMessage(message: ToWorker): void {
    if (message.do === 'close') {
      this.#tell(TOLD_MS, () => ({ is: 'closed' }))
      this.#parts.time.schedule(TOLD_MS, this.#owner, 'journal', () => this.emit('exit'))
    } else if (message.do === 'list') {
      this.#tell(TOLD_MS, () => ({ is: 'listed', id: message.id, letters: [] }))
    } else {
      const { time, random } = this.#parts
      const tookMs = LEAST_MS - Math.log(1 - random()) * MEAN_MS
      time.schedule(tookMs, 'disk', 'group', () => {
        this.#disk.commit(unpacked(message))
        this.#tell(TOLD_MS, () => ({ is: 'done', id: message.id, counts: this.#counts() }))
      })
    }
  }

  ref(): void {}

  unref(): void {}

  #tell(afterMs: number, message: () => FromWorker): void {
    this.#parts.time.schedule(afterMs, this.#owner, 'journal', () => this.emit('message', message()))
  }

  #counts() {
    return { records: this.#disk.records.length, deadLetters: 0, bytes: 0 }
  }
}

function nameOf({ cache, key }: Pick<RecordName, 'cache' | 'key'>): string {
  return `${cache} ${key}`
}
