/**
 * Until when the ring that this process goes by is surely the fleet's.
 *
 * A change of the ring is decided some time before it takes effect, so that whoever has heard the nodes lately goes by it in time. A process that
 * was stopped meanwhile, or cut off, may wake with a ring that nobody reads any more, and what it wrote by it would be acknowledged, and
 * seen by no one. So whoever writes compares the time with one number; when that has passed, the nodes are asked first, for as long as
 * one try may take. Where they do not say, the write goes by the ring that is known, and is made once more by the other if it turns out that
 * there is one.
 */
import type { Clock } from '../clock.ts'
import type { CacheNode, Change } from '../node/node.ts'
import { fullerBy, type QueueTeller, type TellQueue } from '../queues.ts'
import type { Hints, OwningRing } from './hints.ts'

/** How long a write waits for the nodes, ms: what one try may take. */
const WAIT_MS = 50
/** After they did not say, they are asked again so much later, ms: meanwhile no write waits. */
const AGAIN_AFTER_MS = 500
/** Writes that may have to be made once more, and their bytes: beyond either they are lost, and told of. */
const MAX_DOUBTED = 20_000
const MAX_DOUBTED_BYTES = 16 * 1024 * 1024

/** A write that went by a ring of which it was not known whether it still was the fleet's. */
interface Doubted {
  readonly change: Change
  readonly ring: OwningRing
  readonly asked: readonly CacheNode[]
  readonly hints: Hints
  /** When it was issued, ms, monotonic. */
  readonly sinceMs: number
}

interface Watch {
  /** The fleet's. */
  readonly clock: Clock
  /** Asks the nodes, and says what was heard. Never rejects. */
  readonly look: () => Promise<void>
}

export class RingKnowledge implements QueueTeller {
  /** ms since the epoch, by the fleet's clock. Looked at on the path of every write. Infinity: nobody watches, and the ring does not change. */
  untilMs = Number.POSITIVE_INFINITY
  #watch: Watch | undefined
  #asking: Promise<void> | undefined
  #unheardMs = Number.NEGATIVE_INFINITY
  readonly #doubted = new Map<string, Doubted>()
  #doubtedBytes = 0

  /** From now on nothing is known that was not `heard`. */
  watch(watch: Watch): void {
    this.#watch = watch
    this.untilMs = Number.NEGATIVE_INFINITY
  }

  /** Nobody watches any more. */
  unwatch(): void {
    this.#watch = undefined
    this.untilMs = Number.POSITIVE_INFINITY
  }

  /** The nodes have said which ring it is, and rings have been turned accordingly. */
  heard(untilMs: number): void {
    this.untilMs = Math.max(this.untilMs, untilMs)
    if (this.#doubted.size === 0) return
    const doubted = [...this.#doubted.values()]
    this.#doubted.clear()
    this.#doubtedBytes = 0
    for (const { change, ring, asked, hints, sinceMs } of doubted) {
      if (!ownersOf(ring, change.key).every((owner) => asked.includes(owner))) hints.remember(change, ring, sinceMs)
    }
  }

  /** Asks the nodes, unless it is known. @returns whether it is now; never rejects */
  async renew(): Promise<boolean> {
    const watch = this.#watch
    if (watch === undefined || this.#isSure(watch)) return true
    if (this.#asking === undefined && watch.clock.monotonic() - this.#unheardMs < AGAIN_AFTER_MS) return false
    this.#asking ??= this.#ask(watch).then(() => {
      this.#asking = undefined
      if (!this.#isSure(watch)) this.#unheardMs = watch.clock.monotonic()
    })
    await this.#asking
    return this.#isSure(watch)
  }

  /**
   * These go by the ring that is known, whether it is still the fleet's or not.
   * @param sinceMs when they were issued, ms, monotonic
   * @param took the owners that they went to; default: those that are known now
   */
  doubt(changes: readonly Change[], ring: OwningRing, hints: Hints, sinceMs: number, took?: readonly CacheNode[]): void {
    for (const change of changes) {
      const doubted = doubtedOf(change)
      if (doubted === undefined) continue
      const before = this.#doubted.get(change.key)
      if (before !== undefined && before.sinceMs > sinceMs) continue
      const bytes = this.#doubtedBytes + sizeOf(doubted) - (before === undefined ? 0 : sizeOf(before.change))
      const asked = took ?? ownersOf(ring, change.key)
      if ((before === undefined && this.#doubted.size >= MAX_DOUBTED) || bytes > MAX_DOUBTED_BYTES) hints.lost(asked[0]!.id, 1)
      else {
        this.#doubtedBytes = bytes
        this.#doubted.set(change.key, { change: doubted, ring, asked, hints, sinceMs })
      }
    }
  }

  /** Before nobody watches any more: asks the nodes once more, if writes are in doubt. Never rejects. */
  async settle(): Promise<void> {
    if (this.#doubted.size > 0) await this.#watch?.look()
  }

  /** Nobody will ask any more: what is in doubt still is told of as lost. */
  giveUp(): void {
    for (const { asked, hints } of this.#doubted.values()) hints.lost(asked[0]!.id, 1)
    this.#doubted.clear()
    this.#doubtedBytes = 0
  }

  tellQueues(tell: TellQueue): void {
    tell('changesDoubted', fullerBy(this.#doubted.size, MAX_DOUBTED, this.#doubtedBytes, MAX_DOUBTED_BYTES), MAX_DOUBTED)
  }

  #isSure({ clock }: Watch): boolean {
    return clock.now() <= this.untilMs
  }

  #ask({ clock, look }: Watch): Promise<void> {
    return new Promise((resolve) => {
      const timer = clock.after(WAIT_MS, resolve, { keepAlive: true })
      void look().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}

/** By whichever ring. */
function ownersOf(ring: OwningRing, key: string): readonly CacheNode[] {
  return [...ring.ownersOf(key), ...ring.alsoOf(key)]
}

/** What is made once more: of a value without a version, which would go over what is newer, only that it is gone. */
function doubtedOf(change: Change): Change | undefined {
  if (change.op === 'touch' || change.op === 'release') return undefined
  return change.op === 'set' ? { op: 'drop', key: change.key } : change
}

function sizeOf(change: Change): number {
  return change.key.length + ('bytes' in change ? change.bytes.length : 0) + 64
}
