/**
 * Mends what reads find: where owners hold different states of a key, the newest is put on those that hold an older one, behind the reader.
 *
 * The nodes judge a copy as they judge every put, so that one that comes too late, or twice, does no harm. The danger is another: an owner
 * that holds nothing may have held the tombstone of a delete that the newest found here knows nothing of. So a copy counts as issued when its
 * read began: an owner seen before its delete still has the tombstone when the last copy is taken there. And an entry is copied to where
 * nothing lies only while its own version is younger than any tombstone gets: then none that it would be refused by can be gone. A
 * deleted value does not come back. Vacant entries are left alone, for a load is under way whose fill does the same; and what was written
 * just now is left to its writer.
 * Repairs are bounded; what is above the bound is left to the next read.
 */
import type { Clock } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode, NodeCall, Status } from '../node/node.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import { copyTtlMs } from './copy-life.ts'
import { type Answer, compareAnswers, holdingOf } from './newest.ts'
import { isEmptied } from './owner-order.ts'
import { youngForMs } from './unsettled.ts'

/** Copies under way at once, at most. */
const DEFAULT_LIMIT = 256
export interface RepairParts {
  readonly clock: Clock
  readonly emit: Emit
  readonly call: NodeCall
  /** Default 256. */
  readonly limit?: number | undefined
}

/** Since the cluster was made. */
export interface RepairCounts {
  /** Copies that an owner took. */
  readonly repaired: number
  /** Copies that an owner no longer needed, for it held something newer. */
  readonly overtaken: number
  /** Copies that an owner failed. */
  readonly failed: number
  /** Copies left to a later read, because too many were under way. */
  readonly dropped: number
}

/** What is under way on one node, and what it took since that was last told. */
interface Ward {
  readonly keys: Set<string>
  untold: number
}

export class ReadRepair implements QueueTeller {
  readonly #parts: RepairParts
  readonly #limit: number
  readonly #wards = new Map<CacheNode, Ward>()
  readonly #counts = { repaired: 0, overtaken: 0, failed: 0, dropped: 0 }
  #underWay = 0

  constructor(parts: RepairParts) {
    this.#parts = parts
    this.#limit = parts.limit ?? DEFAULT_LIMIT
  }

  get counts(): RepairCounts {
    return { ...this.#counts }
  }

  tellQueues(tell: TellQueue): void {
    tell('repairs', this.#underWay, this.#limit)
  }

  /**
   * @param answers what owners of the key held, asked no earlier than `readMs`, ms since the epoch
   * @param newest the newest of them, see `newestOf`
   */
  mend(key: string, answers: readonly Answer[], newest: Answer, readMs: number): void {
    if (holdingOf(newest.bytes) !== 'entry' || youngForMs(newest.bytes!, this.#parts.clock.now()) > 0) return
    let copy: Uint8Array | undefined
    for (const answer of answers) {
      if (compareAnswers(newest, answer) <= 0) continue
      const ttlMs = copyTtlMs(newest.bytes!, answer.bytes, this.#parts.clock.now(), isEmptied(answer.node))
      if (ttlMs === undefined || !this.#begin(key, answer.node)) continue
      // A node in this process may keep the very bytes it is given, and a read's may be a window on a large buffer.
      copy ??= Buffer.from(newest.bytes!)
      const { node } = answer
      node.change(
        { op: 'put', key, bytes: copy, ttlMs, issuedMs: readMs },
        { settled: (status) => this.#end(key, node, status) },
        this.#parts.call,
      )
    }
  }

  /** @returns false when the key is being mended there already, or too much is */
  #begin(key: string, node: CacheNode): boolean {
    let ward = this.#wards.get(node)
    if (ward?.keys.has(key)) return false
    if (this.#underWay >= this.#limit) {
      this.#counts.dropped++
      return false
    }
    if (ward === undefined) {
      ward = { keys: new Set(), untold: 0 }
      this.#wards.set(node, ward)
    }
    ward.keys.add(key)
    this.#underWay++
    return true
  }

  #end(key: string, node: CacheNode, status: Status): void {
    this.#underWay--
    const ward = this.#wards.get(node)!
    ward.keys.delete(key)
    if (status.state === 'applied') {
      this.#counts.repaired++
      ward.untold++
    } else if (status.state === 'refused') this.#counts.overtaken++
    else this.#counts.failed++
    if (ward.keys.size > 0) return
    this.#wards.delete(node)
    if (ward.untold > 0) this.#parts.emit('replica:repaired', { node: node.id, keys: ward.untold })
  }
}
