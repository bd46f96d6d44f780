/**
 * Tells a key's owners what became of its pending write: that the store has it, or that it is not to be any more.
 *
 * A pending entry has no end of its own, so an owner that did not hear would serve it for ever. Owners are told until all of them have answered,
 * and only then does the journal forget the write: a process that is killed in between tells them after its next start. An owner that is away
 * for longer than the tries last is left behind, as is one of whose writes there are more than are remembered; what lies on it is settled by
 * whoever reads it (`adoption.ts`).
 */
import type { Timer } from '../clock.ts'
import type { Version } from '../entry.ts'
import type { Journal } from '../journal/journal.ts'
import { fullerBy, type QueueTeller, type TellQueue } from '../queues.ts'
import type { StrategyParts } from './strategy.ts'

/** One write whose fate is known. */
export interface Fate {
  readonly key: string
  /** Of the pending entry. */
  readonly version: Version
  readonly bytes: Uint8Array
  /** The version under which the store has it; undefined: it was overtaken or refused, and the entry goes. */
  readonly saved: Version | undefined
}

interface Telling extends Fate {
  readonly tries: number
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 20_000
/** In pauses that grow fourfold: about two minutes. */
const TRIES = 10
const AT_ONCE = 1_000
/** Writes that wait to be told again, and their bytes, at most. */
const MAX_LEFT = 20_000
const MAX_LEFT_BYTES = 16 * 1024 * 1024

export class Settling<V> implements QueueTeller {
  readonly #strategy: StrategyParts<V>
  readonly #journal: Journal
  /** What is to be told again after a pause. */
  readonly #left = new Map<string, Telling>()
  #leftBytes = 0
  /** Under way. */
  readonly #telling = new Set<Promise<void>>()
  /** Of them those that were told of before, in vain, and their bytes. */
  readonly #again = { writes: 0, bytes: 0 }
  #timer: Timer | undefined
  #pauseMs = FIRST_PAUSE_MS
  #stopped = false
  /** Somebody waits for all to be told: nothing is left behind before that is over. */
  #isLast = false

  constructor(strategy: StrategyParts<V>, journal: Journal) {
    this.#strategy = strategy
    this.#journal = journal
  }

  get isDone(): boolean {
    return this.#left.size === 0 && this.#telling.size === 0
  }

  tellQueues(tell: TellQueue): void {
    const { writes, bytes } = this.#again
    tell('writesUnsettled', fullerBy(this.#left.size + writes, MAX_LEFT, this.#leftBytes + bytes, MAX_LEFT_BYTES), MAX_LEFT)
  }

  tell(fates: readonly Fate[]): void {
    if (fates.length > 0) this.#follow(fates.map((fate) => ({ ...fate, tries: 1 })))
  }

  /** Resolves when what is under way has been answered; what is left is told at once, instead of after its pause. */
  async round(): Promise<void> {
    this.#isLast = true
    if (this.#left.size > 0) this.#tellAgain()
    await Promise.all(this.#telling)
  }

  /** What is left stays in the journal. */
  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #follow(tellings: readonly Telling[]): void {
    for (let at = 0; at < tellings.length; at += AT_ONCE) {
      const telling = this.#carryOut(tellings.slice(at, at + AT_ONCE))
      this.#telling.add(telling)
      void telling.finally(() => this.#telling.delete(telling))
    }
  }

  async #carryOut(tellings: readonly Telling[]): Promise<void> {
    const { keyspace } = this.#strategy
    const saved = tellings.flatMap((each) => (each.saved === undefined ? [] : [{ ...each, version: each.saved }]))
    const gone = tellings.filter((each) => each.saved === undefined)
    const [settled, dropped] = await Promise.all([keyspace.pending.settle(saved), keyspace.pending.drop(gone)])
    for (const { tries, bytes } of tellings) {
      if (tries === 1) continue
      this.#again.writes--
      this.#again.bytes -= bytes.length
    }
    const unheard = new Set<string>()
    for (const [at, { key }] of saved.entries()) if (settled[at]!.state === 'unacknowledged') unheard.add(key)
    for (const [at, { key }] of gone.entries()) if (dropped[at]!.state === 'unacknowledged') unheard.add(key)
    for (const each of tellings) {
      if (unheard.has(each.key) && (each.tries < TRIES || this.#isLast)) this.#keep(each)
      else this.#forget(each)
    }
    if (unheard.size === 0) this.#pauseMs = FIRST_PAUSE_MS
    if (this.#left.size > 0) this.#schedule()
  }

  #keep(telling: Telling): void {
    const held = this.#left.get(telling.key)
    if (held !== undefined && held.version >= telling.version) return
    const bytes = this.#leftBytes + telling.bytes.length - (held?.bytes.length ?? 0)
    const { writes, bytes: againBytes } = this.#again
    if ((held === undefined && this.#left.size + writes >= MAX_LEFT) || bytes + againBytes > MAX_LEFT_BYTES) {
      this.#forget(telling)
      return
    }
    this.#leftBytes = bytes
    this.#left.set(telling.key, { ...telling, tries: telling.tries + 1 })
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = this.#strategy.clock.after(this.#pauseMs * (0.5 + this.#strategy.random() / 2), () => this.#tellAgain())
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 4)
  }

  #tellAgain(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const tellings = [...this.#left.values()]
    this.#again.writes += tellings.length
    this.#again.bytes += this.#leftBytes
    this.#left.clear()
    this.#leftBytes = 0
    this.#follow(tellings)
  }

  #forget({ key, version }: Fate): void {
    // What cannot be forgotten is saved once more after a restart, and changes nothing then.
    this.#journal.forget({ cache: this.#strategy.cache, key, version }).catch(() => {})
  }
}
