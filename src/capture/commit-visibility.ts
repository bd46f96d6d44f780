/**
 * Whether what the log tells of can be seen by those who read the database.
 *
 * A commit is in the log before it is seen: for a moment always, and for as long as it takes where it waits for a synchronous standby. A cache
 * that is told meanwhile loads the old row again, and keeps it. So a change is told only when a snapshot taken now has its transaction.
 */

/** As `pg_current_snapshot` says it: `xmin:xmax:xip,…`. What a snapshot has every later one has too. */
export class CommitSnapshot {
  readonly #xmin: bigint
  readonly #xmax: bigint
  readonly #open: ReadonlySet<bigint>

  constructor(text: string) {
    const [xmin, xmax, open] = text.split(':')
    this.#xmin = BigInt(xmin!)
    this.#xmax = BigInt(xmax!)
    this.#open = new Set(open === undefined || open === '' ? [] : open.split(',').map(BigInt))
  }

  /** @param xid the low 32 bits of a transaction's number, as the log has them */
  has(xid: number): boolean {
    // The log is never farther behind or ahead than half of what 32 bits can say.
    const full = this.#xmax + BigInt((xid - Number(BigInt.asIntN(32, this.#xmax))) | 0)
    return full < this.#xmin || (full < this.#xmax && !this.#open.has(full))
  }
}

const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 200

export interface CommitVisibilityParts {
  /** Asks the database for its snapshot of now. */
  readonly ask: () => Promise<string>
  readonly pause: (ms: number) => Promise<void>
}

export class CommitVisibility {
  readonly #parts: CommitVisibilityParts
  #last: CommitSnapshot | undefined

  constructor(parts: CommitVisibilityParts) {
    this.#parts = parts
  }

  /** Resolves when all of them are seen, or `over` says that nobody waits any more. @throws when the database cannot be asked */
  async seen(xids: Iterable<number>, over: () => boolean): Promise<void> {
    let waiting = [...xids].filter((xid) => this.#last?.has(xid) !== true)
    for (let pauseMs = FIRST_PAUSE_MS; waiting.length > 0 && !over(); pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const snapshot = new CommitSnapshot(await this.#parts.ask())
      this.#last = snapshot
      waiting = waiting.filter((xid) => !snapshot.has(xid))
      if (waiting.length > 0) await this.#parts.pause(pauseMs)
    }
  }
}
