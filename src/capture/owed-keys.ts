/**
 * What some nodes have missed of the changes that were told: the keys, to be told again until every owner has taken them.
 *
 * Readers of a key ask its first owner, and one that was out of reach while others took a change goes on with the old copy when it is back.
 * So what it missed is owed to it, and holds how far all is told: the lag says so, and the database keeps its log for whoever follows if this
 * process ends. Told again, it is that whatever lies under a key goes, which is right whatever has become of the row since. Keys are bounded:
 * beyond that the whole cache is owed, and is emptied once its nodes are back.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { asError } from '../errors.ts'
import type { RowChange } from '../strategy/strategy.ts'
import type { CapturedCache } from './capture.ts'

const MAX_KEYS = 65_536
const KEYS_AT_A_TIME = 512
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

export interface OwedKeysParts {
  readonly clock: Clock
  readonly random: Random
  /** Whether anything is owed, whenever that changes. */
  readonly hold: (held: boolean) => void
  readonly failed: (error: Error) => void
  /** Keys at most, over all caches. Default 65,536. */
  readonly maxKeys?: number | undefined
}

interface Debt {
  readonly keys: Set<string>
  /** More is owed than its keys. */
  whole: boolean
}

export class OwedKeys {
  readonly #parts: OwedKeysParts
  readonly #maxKeys: number
  readonly #debts = new Map<CapturedCache, Debt>()
  /** What is being told, and is owed until that has succeeded. */
  #underWay = 0
  #pauseMs = FIRST_PAUSE_MS
  #timer: Timer | undefined
  #stopped = false

  constructor(parts: OwedKeysParts) {
    this.#parts = parts
    this.#maxKeys = parts.maxKeys ?? MAX_KEYS
  }

  get size(): number {
    let size = this.#underWay
    for (const { keys, whole } of this.#debts.values()) size += keys.size + (whole ? 1 : 0)
    return size
  }

  /** To be called before what some node has missed counts as told. */
  add(cache: CapturedCache, keys: readonly string[]): void {
    if (keys.length === 0) return
    const debt = this.#debts.get(cache) ?? { keys: new Set(), whole: false }
    this.#debts.set(cache, debt)
    let left = this.#maxKeys - this.size
    for (const key of keys) {
      if (debt.whole || debt.keys.has(key)) continue
      if (left-- > 0) debt.keys.add(key)
      else debt.whole = true
    }
    this.#parts.hold(true)
    this.#schedule()
  }

  /** Empties a cache, after which nothing of before is owed to it. @throws when the nodes did not take it */
  async clear(cache: CapturedCache): Promise<void> {
    // What is owed from now on is of after it.
    const debt = this.#debts.get(cache)
    this.#debts.delete(cache)
    const size = debt === undefined ? 0 : Math.max(1, debt.keys.size)
    this.#underWay += size
    try {
      await cache.clear()
    } catch (thrown) {
      if (debt !== undefined) {
        const since = this.#debts.get(cache)
        for (const key of since?.keys ?? []) debt.keys.add(key)
        debt.whole ||= since?.whole === true
        this.#debts.set(cache, debt)
        this.#schedule()
      }
      throw thrown
    } finally {
      this.#underWay -= size
      this.#settle()
    }
  }

  /** Makes up for all that is owed by emptying caches. @throws when the nodes did not take it */
  async clearAll(): Promise<void> {
    for (const cache of [...this.#debts.keys()]) await this.clear(cache)
  }

  /** Nothing of it is told again here: whoever follows next begins before it. */
  forget(): void {
    for (const debt of this.#debts.values()) {
      debt.keys.clear()
      debt.whole = false
    }
    this.#debts.clear()
    this.#settle()
  }

  /** Nothing is told again any more; what is owed is left to whoever follows next. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined || this.#debts.size === 0) return
    const { clock, random } = this.#parts
    this.#timer = clock.after(this.#pauseMs * (0.5 + random() / 2), () => {
      void this.#tellAgain()
        .then(
          () => {
            this.#pauseMs = FIRST_PAUSE_MS
          },
          (thrown) => {
            this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS)
            this.#parts.failed(asError(thrown))
          },
        )
        .finally(() => {
          this.#timer = undefined
          this.#settle()
          this.#schedule()
        })
    })
  }

  /** @throws what some node still refuses: the rest is not tried */
  async #tellAgain(): Promise<void> {
    for (const [cache, debt] of [...this.#debts]) {
      while (debt.keys.size > 0 && !this.#stopped) await this.#tellSome(cache, debt)
      if (this.#stopped) return
      // Of the nodes that missed some of it all are back: what is emptied now is emptied of theirs.
      if (debt.whole) await this.clear(cache)
      else if (debt.keys.size === 0 && this.#debts.get(cache) === debt) this.#debts.delete(cache)
    }
  }

  async #tellSome(cache: CapturedCache, debt: Debt): Promise<void> {
    const keys: string[] = []
    for (const key of debt.keys) if (keys.push(key) === KEYS_AT_A_TIME) break
    // One that changes meanwhile is owed anew.
    for (const key of keys) debt.keys.delete(key)
    this.#underWay += keys.length
    const committedMs = this.#parts.clock.now()
    const changes = keys.map((key): RowChange<never> => ({ key, op: 'update', version: undefined, rising: false, committedMs }))
    const told = new Set<string>()
    try {
      const results = await cache.applyChanges(changes, { writes: 'all' })
      for (const [key, { ok }] of results) if (ok) told.add(key)
      const refused = [...results.values()].find(({ ok }) => !ok)
      if (refused !== undefined) throw asError(refused.error)
    } finally {
      this.#underWay -= keys.length
      for (const key of keys) if (!told.has(key)) debt.keys.add(key)
    }
  }

  #settle(): void {
    if (this.size === 0) this.#parts.hold(false)
  }
}
