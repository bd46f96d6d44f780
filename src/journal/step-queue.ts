/**
 * The steps that wait for a journal's disk, in their order, with those who wait for them.
 *
 * Steps are of two sorts. A write, or a retry, needs room: it is refused where there is none, and so is one more than may wait. What takes a
 * write out makes room, and is never refused for the lack of it: it waits until it is done. Steps that say the same of a key are one, so that no
 * more of them wait than there are keys.
 */
import type { JournalStep } from './journal.ts'

/** Of one group: bounds what a group's wait can be. */
const GROUP_STEPS = 1_024
const GROUP_BYTES = 4_194_304

export interface WaitingStep {
  /** Of several that say the same, the one that says most. */
  step: JournalStep
  readonly promise: PromiseWithResolvers<void>
}

export class StepQueue {
  /** From `#first` on. */
  #waiting: WaitingStep[] = []
  #first = 0
  /** The last step of each key, where it makes room, and of each dead letter. */
  readonly #makers = new Map<string, WaitingStep>()
  /** Steps that need room. */
  needing = 0

  get length(): number {
    return this.#waiting.length - this.#first
  }

  /** @returns settled once the step is */
  add(step: JournalStep): Promise<void> {
    const name = nameOf(step)
    if (needsRoom(step)) {
      this.needing++
      this.#makers.delete(name)
    } else {
      const same = this.#makers.get(name)
      if (same !== undefined && merge(same, step)) return same.promise.promise
    }
    const waiting = { step, promise: Promise.withResolvers<void>() }
    if (!needsRoom(step)) this.#makers.set(name, waiting)
    this.#waiting.push(waiting)
    return waiting.promise.promise
  }

  /** The next group. @param makersOnly only what makes room, up to the first step that needs some */
  take(makersOnly: boolean): WaitingStep[] {
    const group: WaitingStep[] = []
    for (let bytes = 0; group.length < this.length && group.length < GROUP_STEPS && bytes < GROUP_BYTES; ) {
      const next = this.#waiting[this.#first + group.length]!
      if (needsRoom(next.step)) {
        if (makersOnly) break
        this.needing--
      } else if (this.#makers.get(nameOf(next.step)) === next) this.#makers.delete(nameOf(next.step))
      bytes += 'record' in next.step ? next.step.record.body.length : 0
      group.push(next)
    }
    this.#first += group.length
    if (this.#first > this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    return group
  }

  /** A group that came to nothing for lack of room: what makes some is the first again, what needs some is refused. */
  giveBack(group: readonly WaitingStep[], refusal: Error): void {
    const makers: WaitingStep[] = []
    for (const waiting of group) {
      if (needsRoom(waiting.step)) waiting.promise.reject(refusal)
      else makers.push(waiting)
    }
    this.#waiting = [...makers, ...this.#waiting.slice(this.#first)]
    this.#first = 0
    this.#index()
  }

  /** Those that need room go. */
  refuseNeeding(refusal: Error): void {
    const left = this.#waiting.slice(this.#first)
    this.#waiting = left.filter(({ step }) => !needsRoom(step))
    this.#first = 0
    this.needing = 0
    this.#index()
    for (const { step, promise } of left) if (needsRoom(step)) promise.reject(refusal)
  }

  refuseAll(refusal: Error): void {
    const left = this.#waiting.slice(this.#first)
    this.#waiting = []
    this.#first = 0
    this.needing = 0
    this.#makers.clear()
    for (const { promise } of left) promise.reject(refusal)
  }

  /** Steps of one key that were added while the others were on their way become one with them, where nothing of the key lies between. */
  #index(): void {
    this.#makers.clear()
    const kept: WaitingStep[] = []
    for (const waiting of this.#waiting) {
      const name = nameOf(waiting.step)
      const same = this.#makers.get(name)
      if (needsRoom(waiting.step)) this.#makers.delete(name)
      else if (same !== undefined && merge(same, waiting.step)) {
        same.promise.promise.then(waiting.promise.resolve, waiting.promise.reject)
        continue
      } else this.#makers.set(name, waiting)
      kept.push(waiting)
    }
    this.#waiting = kept
  }
}

export function needsRoom(step: JournalStep): boolean {
  return step.do === 'write' || step.do === 'retry'
}

function nameOf(step: JournalStep): string {
  if ('id' in step) return String(step.id)
  const { cache, key } = 'record' in step ? step.record : step
  return `${cache}\0${key}`
}

/** @returns whether the later step says nothing that the earlier one does not say now */
function merge(earlier: WaitingStep, later: JournalStep): boolean {
  const { step } = earlier
  if (later.do === 'drop') return step.do === 'drop'
  if (later.do === 'forget') {
    if (step.do !== 'forget') return false
    if (later.version > step.version) earlier.step = later
    return true
  }
  if (later.do !== 'bury') return false
  // Of what is forgotten nothing is left to be buried.
  return step.do === 'forget' ? later.version <= step.version : step.do === 'bury' && later.version === step.version
}
