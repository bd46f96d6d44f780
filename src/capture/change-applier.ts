/**
 * The changes that were heard and are yet to be told: a bounded line, told in batches and in order, each until the nodes have it.
 *
 * What cannot be told is tried again for as long as the follower has its place; meanwhile the line grows to its bound, and whoever fills it
 * is asked to pause. How far all is told moves on only when it is. What only some nodes have missed does not hold up the line: it is owed to
 * them (`owed-keys.ts`).
 */
import type { Clock, Random } from '../clock.ts'
import { asError } from '../errors.ts'
import type { Histogram } from '../metrics/histogram.ts'
import type { CapturedCache } from './capture.ts'
import type { CapturedChange } from './captured-table.ts'
import { ChangeBatch } from './change-batch.ts'
import type { OwedKeys } from './owed-keys.ts'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000
/** Bytes of the log that may wait, whatever the number of changes. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
/** For each change that may wait: transactions of which nothing is told, and emptied tables, wait beside them. */
const ITEMS_A_CHANGE = 2

type Item =
  | {
      readonly kind: 'change'
      readonly change: CapturedChange
      readonly bytes: number
      readonly committedMs: number
      readonly xid: number | undefined
    }
  | { readonly kind: 'clear'; readonly cache: CapturedCache; readonly committedMs: number; readonly xid: number | undefined }
  /** All before it was said. `committedMs`: of a transaction, when it was committed by the clock here. */
  | { readonly kind: 'mark'; readonly lsn: bigint; readonly committedMs: number | undefined }

export interface ChangeApplierParts {
  readonly clock: Clock
  readonly random: Random
  readonly maxWaiting: number
  readonly owed: Pick<OwedKeys, 'size' | 'add'>
  /** Resolves when the transactions are seen by readers, or nobody waits any more. Default: they are. */
  readonly seen?: ((xids: ReadonlySet<number>, over: () => boolean) => Promise<void>) | undefined
  /** All up to here is told. */
  readonly told: (lsn: bigint) => void
  readonly failed: (error: Error) => void
  /** Whoever fills the line is to pause, or may go on. */
  readonly hold: (full: boolean) => void
  /** Outlives this line: see `CaptureStats`. */
  readonly counts: { changes: number; readonly latency: Histogram }
}

export class ChangeApplier {
  readonly #parts: ChangeApplierParts
  #line: Item[] = []
  #next = 0
  #waitingChanges = 0
  #waitingBytes = 0
  #held = false
  #stopped = false
  #telling: Promise<void> | undefined
  #awake: (() => void) | undefined
  readonly #owed: Pick<OwedKeys, 'size' | 'add'>

  constructor(parts: ChangeApplierParts) {
    this.#parts = parts
    const { owed } = parts
    this.#owed = {
      get size() {
        return owed.size
      },
      // What counts as told to nobody is not owed either: whoever follows next tells it.
      add: (cache, keys) => {
        if (!this.#stopped) owed.add(cache, keys)
      },
    }
  }

  get waiting(): number {
    return this.#waitingChanges
  }

  /** When the oldest change that waits was committed, by the clock here; undefined when none does. */
  get oldestMs(): number | undefined {
    for (let at = this.#next; at < this.#line.length; at++) {
      const { committedMs } = this.#line[at]!
      if (committedMs !== undefined) return committedMs
    }
    return undefined
  }

  /** @param xid of its transaction, as the log has it */
  change(change: CapturedChange, bytes: number, committedMs: number, xid?: number): void {
    this.#waitingChanges++
    this.#waitingBytes += bytes
    this.#push({ kind: 'change', change, bytes, committedMs, xid })
  }

  clear(cache: CapturedCache, committedMs: number, xid?: number): void {
    this.#push({ kind: 'clear', cache, committedMs, xid })
  }

  mark(lsn: bigint, committedMs: number | undefined): void {
    const last = this.#line.at(-1)
    if (this.#next < this.#line.length && last?.kind === 'mark' && committedMs === undefined && last.committedMs === undefined) {
      this.#line[this.#line.length - 1] = { kind: 'mark', lsn, committedMs }
      return
    }
    this.#push({ kind: 'mark', lsn, committedMs })
  }

  /** What waits is let go of. Resolves when nothing is being told any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#line = []
    this.#next = 0
    this.#awake?.()
    await this.#telling
  }

  #push(item: Item): void {
    if (this.#stopped) return
    this.#line.push(item)
    if (!this.#held && this.#filled >= 1) this.#hold(true)
    this.#wake()
  }

  #wake(): void {
    // Not at once: what comes in the same turn goes into the same batch.
    this.#telling ??= Promise.resolve()
      .then(() => this.#tellAll())
      .finally(() => {
        this.#telling = undefined
        if (!this.#stopped && this.#next < this.#line.length) this.#wake()
      })
  }

  async #tellAll(): Promise<void> {
    while (!this.#stopped && this.#next < this.#line.length) {
      const { batch, cleared, end } = this.#gather(this.#next)
      const xids = this.#xidsUpTo(end)
      const tell = async (): Promise<void> => {
        await this.#parts.seen?.(xids, () => this.#stopped)
        if (this.#stopped) return
        await (cleared === undefined ? batch.tell(this.#owed) : cleared.clear())
      }
      if (!(await this.#untilTold(tell))) return
      this.#settle(end)
    }
  }

  /** What can be told in one go, from the line's head on. */
  #gather(from: number): { batch: ChangeBatch; cleared: CapturedCache | undefined; end: number } {
    const batch = new ChangeBatch()
    let empty = true
    let at = from
    for (; at < this.#line.length && !batch.isFull; at++) {
      const item = this.#line[at]!
      if (item.kind === 'clear') return empty ? { batch, cleared: item.cache, end: at + 1 } : { batch, cleared: undefined, end: at }
      if (item.kind === 'change') {
        if (!batch.take(item.change)) break
        empty = false
      }
    }
    return { batch, cleared: undefined, end: at }
  }

  #xidsUpTo(end: number): ReadonlySet<number> {
    const xids = new Set<number>()
    for (let at = this.#next; at < end; at++) {
      const item = this.#line[at]!
      if (item.kind !== 'mark' && item.xid !== undefined) xids.add(item.xid)
    }
    return xids
  }

  async #untilTold(tell: () => Promise<void>): Promise<boolean> {
    const { clock, random } = this.#parts
    for (let pauseMs = FIRST_PAUSE_MS; !this.#stopped; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        await tell()
        return !this.#stopped
      } catch (thrown) {
        if (this.#stopped) break
        this.#parts.failed(asError(thrown))
      }
      if (this.#stopped) break
      await new Promise<void>((resolve) => {
        this.#awake = resolve
        clock.after(pauseMs * (0.5 + random() / 2), resolve)
      })
    }
    return false
  }

  #settle(end: number): void {
    const { clock, counts, told } = this.#parts
    if (this.#stopped) return
    const nowMs = clock.now()
    let reached: bigint | undefined
    for (; this.#next < end; this.#next++) {
      const item = this.#line[this.#next]!
      if (item.kind === 'change') {
        this.#waitingChanges--
        this.#waitingBytes -= item.bytes
        counts.changes++
      } else if (item.kind === 'mark') {
        reached = item.lsn
        if (item.committedMs !== undefined) counts.latency.record(Math.max(0, nowMs - item.committedMs))
      }
    }
    // Cut rarely: a line is cut by moving all of it.
    if (this.#next > 1_024 || this.#next === this.#line.length) {
      this.#line.splice(0, this.#next)
      this.#next = 0
    }
    if (reached !== undefined) told(reached)
    if (this.#held && this.#filled <= 0.5) this.#hold(false)
  }

  /** Of changes, bytes and items the one of which most of what may wait does: 1 is all of it. */
  get #filled(): number {
    const { maxWaiting } = this.#parts
    const items = this.#line.length - this.#next
    return Math.max(this.#waitingChanges / maxWaiting, this.#waitingBytes / MAX_WAITING_BYTES, items / (ITEMS_A_CHANGE * maxWaiting))
  }

  #hold(full: boolean): void {
    this.#held = full
    this.#parts.hold(full)
  }
}
