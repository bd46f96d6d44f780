/**
 * Copies in doubt: looked at again and again, until they are mended or proven.
 *
 * A copy is proven stale when the very same entry was found wrong at a first look, at one that began a bound after it, and at some more; each
 * at a moment that chance has a part in, so that what happens in step with the looks does not escape them. Where what it should be is not
 * ordered (a row that is there or not, or has another value), a changed row starts the time anew: then it was wrong for less long.
 */
import type { Random } from '../clock.ts'
import type { Sight } from './looker.ts'

export interface SuspicionsOptions {
  readonly boundMs: number
  readonly rechecks: number
  readonly random: Random
}

/** What became of a copy in doubt. `proven`: for `ageMs` at least. `given up`: it could not be judged for too long. */
export type Outcome = { readonly state: 'open' | 'given up' | 'full' } | { readonly state: 'proven'; readonly ageMs: number }

interface Suspicion {
  readonly wire: string
  readonly order: number
  sight: Sight
  /** Monotonic, ms: the same entry was wrong by then. */
  sinceMs: number
  dueMs: number
  confirmed: number
  looks: number
}

/** Copies in doubt at a time. */
const MAX_OPEN = 1_000
/** Looks at one copy: one that changes its fault, or does not answer, is given up. */
const MAX_LOOKS = 30
/** Of the bound: by how much the first look may come later. */
const FIRST_JITTER = 0.25
/** Of the bound: the least time between two later looks, and what chance adds. */
const LATER = 0.25

const OPEN: Outcome = { state: 'open' }

export class Suspicions {
  readonly #options: SuspicionsOptions
  readonly #open = new Map<string, Suspicion>()
  #begun = 0

  constructor(options: SuspicionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#open.size
  }

  /** How many there were so far. */
  get begun(): number {
    return this.#begun
  }

  has(sight: Sight): boolean {
    return this.#open.has(idOf(sight))
  }

  /** Whether some of the first `order` that there were are still open. */
  isOpenUpTo(order: number): boolean {
    for (const each of this.#open.values()) if (each.order <= order) return true
    return false
  }

  /** Monotonic, ms; undefined where nothing is in doubt. */
  get nextDueMs(): number | undefined {
    let next: number | undefined
    for (const { dueMs } of this.#open.values()) if (next === undefined || dueMs < next) next = dueMs
    return next
  }

  /** The keys to look at now, at most so many. */
  due(nowMs: number, most: number): string[] {
    const wires = new Set<string>()
    for (const { dueMs, wire } of this.#open.values()) {
      if (wires.size === most) break
      if (dueMs <= nowMs) wires.add(wire)
    }
    return [...wires]
  }

  /** A copy was found wrong. @param askedMs monotonic, of before it was asked @param doneMs of after the store had been asked again */
  wrong(sight: Sight, askedMs: number, doneMs: number): Outcome {
    const id = idOf(sight)
    const known = this.#open.get(id)
    if (known === undefined) return this.#begin(id, sight, doneMs)
    if (!isSameFault(known.sight, sight)) {
      known.sight = sight
      known.sinceMs = doneMs
      known.confirmed = 0
      return this.#again(id, known, this.#firstDueMs(doneMs))
    }
    const ageMs = askedMs - known.sinceMs
    if (ageMs < this.#options.boundMs) return OPEN
    known.confirmed++
    if (known.confirmed < this.#options.rechecks) return this.#again(id, known, this.#laterDueMs(doneMs))
    this.#open.delete(id)
    return { state: 'proven', ageMs }
  }

  /** It could not be judged this time. */
  unjudged(sight: Sight, doneMs: number): Outcome {
    const id = idOf(sight)
    return this.#again(id, this.#open.get(id)!, this.#laterDueMs(doneMs))
  }

  /** It is right, or not served any more. */
  settle(sight: Sight): void {
    this.#open.delete(idOf(sight))
  }

  #begin(id: string, sight: Sight, doneMs: number): Outcome {
    if (this.#open.size === MAX_OPEN) return { state: 'full' }
    this.#begun++
    const dueMs = this.#firstDueMs(doneMs)
    this.#open.set(id, { wire: sight.wire, order: this.#begun, sight, sinceMs: doneMs, dueMs, confirmed: 0, looks: 0 })
    return OPEN
  }

  #again(id: string, suspicion: Suspicion, dueMs: number): Outcome {
    suspicion.dueMs = dueMs
    suspicion.looks++
    if (suspicion.looks < MAX_LOOKS) return OPEN
    this.#open.delete(id)
    return { state: 'given up' }
  }

  #firstDueMs(doneMs: number): number {
    return doneMs + this.#options.boundMs * (1 + FIRST_JITTER * this.#options.random())
  }

  #laterDueMs(doneMs: number): number {
    return doneMs + this.#options.boundMs * LATER * (1 + this.#options.random())
  }
}

/** @returns a text for each copy: node and key */
export function idOf({ node, wire }: Pick<Sight, 'node' | 'wire'>): string {
  return `${node} ${wire}`
}

/** Whether two sights are of one entry. A touch, which moves its end, makes no other of it. */
export function isSameEntry(one: Sight, other: Sight): boolean {
  return one.copy?.version === other.copy?.version && one.copy?.begun === other.copy?.begun && one.copy?.kind === other.copy?.kind
}

function isSameFault(one: Sight, other: Sight): boolean {
  if (!isSameEntry(one, other) || one.fault?.staleness !== other.fault?.staleness) return false
  return one.fault?.staleness === 'overtaken' || one.rowMark === other.rowMark
}
