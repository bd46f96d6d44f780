/**
 * Where a process stops in the middle, on purpose: between what the database answered and what follows from it.
 *
 * A hold is told to the conductor, which lets another process change the same key and then releases it. Few at once, and each for a bounded
 * time. What is done to meddle with others is not held itself.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Random } from '../../src/index.ts'
import type { HoldPoint, StoreWatch } from './held-store.ts'
import type { RaceTold } from './race-messages.ts'
import type { RacedValue } from './raced-tier.ts'

/** One operation under way: what its store calls come to is noted on it. */
export interface UnderWay {
  readonly mayBeHeld: boolean
  /** What of its store calls decides its version: a removal may in turn save what it finds to be there all the same. */
  readonly by: 'save' | 'remove'
  version?: bigint
}

const MOST_AT_ONCE = 4
/** Well within the deadline of a load. */
const GIVEN_UP_AFTER_MS = 5_000

export class RaceHolds {
  readonly #random: Random
  readonly #fraction: number
  readonly #tell: (told: RaceTold) => void
  readonly #context = new AsyncLocalStorage<UnderWay>()
  readonly #open = new Map<number, () => void>()
  #lastTicket = 0
  /** Values whose rows were made newer than they were written: their versions do not tell when. */
  readonly raised: number[] = []
  readonly counts = { load: 0, save: 0, givenUp: 0 }

  constructor(fraction: number, random: Random, tell: (told: RaceTold) => void) {
    this.#fraction = fraction
    this.#random = random
    this.#tell = tell
  }

  /** Runs one operation, so that it is known to the store what it belongs to. */
  during<T>(underWay: UnderWay, work: () => T): T {
    return this.#context.run(underWay, work)
  }

  watchOf(cache: string): StoreWatch {
    return {
      hold: (point, keys) => this.#hold(cache, point, keys),
      versioned: (version, by, value) => {
        const underWay = this.#context.getStore()
        if (underWay === undefined) return
        if (underWay.by === by && underWay.version === undefined) underWay.version = version
        // The first is its own; after it a row that is of a lower version than an absence may be made newer, whoever wrote it.
        else if (by === 'save') this.raised.push((value as RacedValue).v)
      },
    }
  }

  release(ticket: number): void {
    this.#open.get(ticket)?.()
  }

  #hold(cache: string, point: HoldPoint, keys: readonly string[]): Promise<void> | undefined {
    if (this.#context.getStore()?.mayBeHeld === false || this.#open.size >= MOST_AT_ONCE) return undefined
    if (this.#random() >= this.#fraction) return undefined
    this.counts[point]++
    const ticket = ++this.#lastTicket
    return new Promise((resolve) => {
      const impatience = setTimeout(() => {
        this.counts.givenUp++
        this.release(ticket)
      }, GIVEN_UP_AFTER_MS)
      this.#open.set(ticket, () => {
        clearTimeout(impatience)
        this.#open.delete(ticket)
        resolve()
      })
      this.#tell({ held: { ticket, cache, key: keys[Math.floor(this.#random() * keys.length)]!, point } })
    })
  }
}
