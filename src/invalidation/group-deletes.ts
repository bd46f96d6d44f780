/**
 * Which groups of a cache were deleted, from hearing that their records changed.
 *
 * What is heard is that a record changed: by a delete, by the writer of a group's first entry, or because an owner lacked it and was
 * given it. So the record is read, and told if it is of a delete that was not told yet. All that is heard while one reading is under way is one
 * reading after it. What cannot be read by so many owners that an acknowledged delete would show is told as if deleted.
 */
import type { Cluster, WriteLevel } from '../cluster/cluster.ts'
import type { Group, GroupRecords } from './group-records.ts'
import { type OwnersRecord, ownersRecords, sufficient } from './owners-records.ts'

export interface GroupDeletesParts {
  readonly cluster: Pick<Cluster, 'ownersOf' | 'replicas'>
  readonly writes: WriteLevel
  readonly records: GroupRecords
  /** ms since the epoch. */
  readonly nowMs: () => number
  readonly deleted: (group: Group) => void
  /** More changed than can wait to be read. */
  readonly missed: (reason: string) => void
}

/** Records that wait to be read, at most. */
const MAX_WAITING = 4_096
/** Records of one reading, at most. */
const MAX_READ = 256
/** Groups of which the last delete that was told is remembered, at most; one that was forgotten may be told again. */
const MAX_REMEMBERED = 16_384

export class GroupDeletes {
  readonly #parts: GroupDeletesParts
  readonly #waiting = new Map<string, Group>()
  /** The last delete told, ms, by key of the record; the one longest not told first. */
  readonly #toldMs = new Map<string, number>()
  #reading = false

  constructor(parts: GroupDeletesParts) {
    this.#parts = parts
  }

  changed(key: string, group: Group): void {
    if (this.#waiting.size >= MAX_WAITING) {
      this.#waiting.clear()
      this.#parts.missed('more groups changed at once than can be looked at')
    }
    this.#waiting.set(key, group)
    if (this.#reading) return
    this.#reading = true
    // What one message names, and its like from other nodes of the same turn, is one reading.
    queueMicrotask(() => void this.#read())
  }

  async #read(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch: [string, Group][] = []
      for (const each of this.#waiting) {
        if (batch.push(each) === MAX_READ) break
      }
      for (const [key] of batch) this.#waiting.delete(key)
      const keys = batch.map(([key]) => key)
      const found = await ownersRecords(this.#parts.cluster, keys, this.#parts.nowMs)
      for (const [at, [key, group]] of batch.entries()) {
        if (this.#isNews(key, found[at]!)) this.#parts.deleted(group)
      }
    }
    this.#reading = false
  }

  #isNews(key: string, { ms, deleted, answered }: OwnersRecord): boolean {
    const { writes, cluster } = this.#parts
    if (ms === undefined || !deleted || ms <= (this.#toldMs.get(key) ?? 0)) return answered < sufficient(writes, cluster.replicas)
    this.#toldMs.delete(key)
    if (this.#toldMs.size >= MAX_REMEMBERED) this.#toldMs.delete(this.#toldMs.keys().next().value!)
    this.#toldMs.set(key, ms)
    return true
  }
}
