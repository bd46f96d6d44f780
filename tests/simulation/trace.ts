/**
 * What happened in a simulated run, in order.
 *
 * Every step is taken into a hash, so that two runs of one seed can be shown to be the same run; that costs next to nothing. The text of
 * steps is only made when a run is recorded: a seed that failed is run again, recorded, for its report.
 */

export interface Step {
  readonly atMs: number
  /** A client, a node, the store or the simulation itself. */
  readonly who: string
  readonly what: string
  /** As it lies on the nodes; '' where no single key is meant. */
  readonly key: string
}

/** Steps kept of a recorded run; the oldest go first. */
const MAX_STEPS = 200_000

export class Trace {
  readonly #steps: Step[] = []
  readonly #recording: boolean
  #low = 0x811c9dc5
  #high = 0x1b873593

  constructor(recording = false) {
    this.#recording = recording
  }

  /** Takes a step into the hash. FNV-1a (Fowler, Noll, Vo), twice with different beginnings. */
  mark(atMs: number, who: string, what: string): void {
    this.#mix(Math.round(atMs * 1_000))
    for (let i = 0; i < who.length; i++) this.#mix(who.charCodeAt(i))
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i))
  }

  /** @param what called only when the run is recorded */
  tell(atMs: number, who: string, key: string, what: () => string): void {
    if (!this.#recording) return
    if (this.#steps.length === MAX_STEPS) this.#steps.splice(0, MAX_STEPS / 2)
    this.#steps.push({ atMs, who, what: what(), key })
  }

  get hash(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0')
  }

  /** The last steps, those of one key and of no single key when a key is given. */
  last(count: number, key?: string): readonly Step[] {
    const chosen = key === undefined ? this.#steps : this.#steps.filter((step) => step.key === key || step.key === '')
    return chosen.slice(-count)
  }

  #mix(number: number): void {
    this.#low = Math.imul(this.#low ^ number, 0x01000193) >>> 0
    this.#high = Math.imul(this.#high ^ number, 0x85ebca6b) >>> 0
    this.#high ^= this.#high >>> 13
    this.#high >>>= 0
  }
}

export function lineOf(step: Step): string {
  return `${step.atMs.toFixed(3).padStart(12)} ms  ${step.who.padEnd(7)} ${step.key === '' ? '' : `${step.key} `}${step.what}`
}
