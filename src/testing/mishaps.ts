/**
 * What goes wrong with the calls to a flaky node or store: which call meets what, and how that feels to its caller.
 *
 * A call has two halves, being done and being answered, and each can fail without the other: so there is one mishap for each, beside plain
 * failure and lateness of either half. Which call meets one is said beforehand (`next`), by a script that sees each call, or by odds from a
 * seed; or everything is down. The promise: a mishap changes when a call is done and what its caller hears, never what is done; every call
 * is answered within its bound; the same seed and the same calls meet the same mishaps.
 */
import { type Clock, type Random, systemClock, type Timer } from '../clock.ts'
import { ConfigurationError, OverloadError, type RingtailError } from '../errors.ts'
import { type Duration, durationMs, fraction, knownOptions, oneOf } from '../options.ts'
import {
  checkedMishap,
  checkedOdds,
  type FlakyOptions,
  type Mishap,
  type MishapOdds,
  type MishapOutcome,
  type MishapScript,
} from './mishap.ts'
import { seededRandom } from './seeded-random.ts'

/** Calls so far, and how many of them met what. */
export interface MishapCounts {
  readonly calls: number
  readonly failed: number
  readonly lostCalls: number
  readonly lostAnswers: number
  readonly delayed: number
  readonly late: number
  /** Of calls while it was down. */
  readonly down: number
}

/** How the caller fared; `unknown`: it may have been done. */
export type Met<T> =
  | { readonly state: 'answered'; readonly answer: T }
  | { readonly state: 'failed' | 'refused' | 'unknown'; readonly error: RingtailError }

/** What a caller is told, in the words of a node or a store. */
export interface MishapErrors {
  failed(reason: string): RingtailError
  unknown(reason: string): RingtailError
  silent(timeoutMs: number): RingtailError
}

export interface CallBound {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Given what goes on where the signal ended the wait for it: settled once it is done, or its timeout over. */
  readonly leftRunning?: ((work: Promise<unknown>) => void) | undefined
}

/** Calls that meet a mishap at the same time, and mishaps said beforehand. */
const MAX_WAITING = 100_000
const DEFAULT_SPREAD_MS = 100

export class Mishaps {
  readonly #errors: MishapErrors
  readonly #timeoutMs: number
  readonly #random: Random
  readonly #clockGiven: boolean
  #clock: Clock
  #odds: MishapOdds | undefined
  #script: MishapScript | undefined
  #next: Mishap[] = []
  #down: 'refusing' | 'silent' | undefined
  /** How often it went down: a call under way meanwhile is lost. */
  #falls = 0
  readonly #listeners: ((isDown: boolean, how: 'refusing' | 'silent') => void)[] = []
  readonly #underWay = new Set<Promise<void>>()
  readonly #waits = new Set<Timer>()
  #isClosed = false
  readonly #counts = { calls: 0, failed: 0, lostCalls: 0, lostAnswers: 0, delayed: 0, late: 0, down: 0 }

  constructor(what: string, options: FlakyOptions, timeout: Duration, errors: MishapErrors) {
    knownOptions(options, what, ['seed', 'clock', 'odds', 'script', 'timeout'])
    this.#errors = errors
    this.#timeoutMs = durationMs(options.timeout ?? timeout, `${what}: timeout`)
    this.#random = seededRandom(fraction(options.seed ?? 1, `${what}: seed`, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER))
    this.#clockGiven = options.clock !== undefined
    this.#clock = options.clock ?? systemClock
    this.odds(options.odds)
    this.script(options.script)
  }

  get counts(): MishapCounts {
    return { ...this.#counts }
  }

  get isDown(): boolean {
    return this.#down !== undefined
  }

  /** The next calls meet these, one each, in this order. @throws OverloadError past 100,000 */
  next(...mishaps: readonly (Mishap | MishapOutcome)[]): void {
    if (this.#next.length + mishaps.length > MAX_WAITING) throw new OverloadError(`mishaps: at most ${MAX_WAITING} said beforehand`)
    this.#next.push(...mishaps.map(checkedMishap))
  }

  /** Decides on each call that `next` has nothing for. */
  script(script: MishapScript | undefined): void {
    if (script !== undefined && typeof script !== 'function') throw ConfigurationError.of('mishaps: script', 'a function', script)
    this.#script = script
  }

  /** Decide on each call that neither `next` nor the script has anything for. */
  odds(odds: MishapOdds | undefined): void {
    this.#odds = odds === undefined ? undefined : checkedOdds(odds)
  }

  /**
   * From now on every call fails, until `up`; what is under way is lost.
   * @param how `refusing`: at once, not done. `silent`: calls hang until their timeout, not done: a stopped process. Default `refusing`
   */
  down(how: 'refusing' | 'silent' = 'refusing'): void {
    const was = this.#down
    this.#down = oneOf<'refusing' | 'silent'>(how, 'mishaps: down', ['refusing', 'silent'])
    if (was !== undefined) return
    this.#falls++
    for (const listener of this.#listeners) listener(true, how)
  }

  up(): void {
    const was = this.#down
    this.#down = undefined
    if (was !== undefined) for (const listener of this.#listeners) listener(false, was)
  }

  /** Lets what is under way end, each within its timeout, and then leaves no timer: what was to be done later still is not. Calls after it meet nothing. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#underWay)
    for (const timer of this.#waits) timer.cancel()
    this.#waits.clear()
  }

  /** For who decorates. */
  onFall(listener: (isDown: boolean, how: 'refusing' | 'silent') => void): void {
    this.#listeners.push(listener)
  }

  /** For who decorates: the clock that came with the connection, unless one was given. */
  useClock(clock: Clock | undefined): void {
    if (!this.#clockGiven && clock !== undefined) this.#clock = clock
  }

  /** For who decorates. @returns what this call meets; undefined: nothing, and it may be handed on as it is */
  of(operation: string, keys: readonly string[]): Mishap | undefined {
    if (this.#isClosed) return undefined
    this.#counts.calls++
    if (this.#down !== undefined) {
      this.#counts.down++
      return this.#down === 'silent' ? { outcome: 'lose-call', delayMs: Number.POSITIVE_INFINITY } : { outcome: 'fail' }
    }
    const mishap = this.#next.shift() ?? this.#scripted(operation, keys) ?? this.#drawn()
    if (mishap === undefined) return undefined
    const { outcome = 'pass', delayMs = 0, lateMs = 0 } = mishap
    if (outcome === 'pass' && delayMs === 0 && lateMs === 0) return undefined
    if (outcome === 'fail' || outcome === 'refuse') this.#counts.failed++
    if (outcome === 'lose-call') this.#counts.lostCalls++
    if (outcome === 'lose-answer') this.#counts.lostAnswers++
    if (delayMs > 0) this.#counts.delayed++
    if (lateMs > 0) this.#counts.late++
    return mishap
  }

  /**
   * For who decorates.
   * @param act the call itself, begun when it is due
   * @returns how its caller fares; rejects with what `act` rejects with
   */
  meet<T>(mishap: Mishap, act: () => Promise<T>, bound: CallBound = {}): Promise<Met<T>> {
    if (this.#underWay.size + this.#waits.size >= MAX_WAITING) {
      return Promise.resolve({ state: 'failed', error: new OverloadError(`mishaps: at most ${MAX_WAITING} calls at once`) })
    }
    const timeoutMs = bound.timeoutMs ?? this.#timeoutMs
    const { promise, resolve, reject } = Promise.withResolvers<Met<T>>()
    const over = Promise.withResolvers<void>()
    const unknown = (error: RingtailError): void => resolve({ state: 'unknown', error })
    const end = (): void => {
      timer.cancel()
      bound.signal?.removeEventListener('abort', givenUp)
      this.#underWay.delete(over.promise)
      over.resolve()
    }
    const givenUp = (): void => {
      bound.leftRunning?.(over.promise)
      unknown(this.#errors.unknown('given up under way'))
    }
    const silent = (): void => {
      unknown(this.#errors.silent(timeoutMs))
      end()
    }
    const timer = this.#clock.after(timeoutMs, silent, { keepAlive: true })
    this.#underWay.add(over.promise)
    bound.signal?.addEventListener('abort', givenUp)
    this.#course(mishap, act).then(resolve, reject).finally(end)
    return promise
  }

  async #course<T>({ outcome = 'pass', delayMs = 0, lateMs = 0 }: Mishap, act: () => Promise<T>): Promise<Met<T>> {
    const falls = this.#falls
    if (delayMs > 0) await this.#wait(delayMs)
    if (outcome === 'fail') return { state: 'failed', error: this.#errors.failed(this.#down === undefined ? 'refused' : 'down') }
    if (outcome === 'refuse') return { state: 'refused', error: this.#errors.failed('refused for good') }
    if (outcome === 'lose-call' || falls !== this.#falls) return this.#lost()
    const answer = await act()
    if (lateMs > 0) await this.#wait(lateMs)
    return outcome === 'lose-answer' || falls !== this.#falls ? this.#lost() : { state: 'answered', answer }
  }

  #lost(): { readonly state: 'unknown'; readonly error: RingtailError } {
    return { state: 'unknown', error: this.#errors.unknown('connection lost before the reply') }
  }

  /** Never over where it is for ever, or closed before. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (ms === Number.POSITIVE_INFINITY) return
      const timer = this.#clock.after(
        ms,
        () => {
          this.#waits.delete(timer)
          resolve()
        },
        { keepAlive: true },
      )
      this.#waits.add(timer)
    })
  }

  #scripted(operation: string, keys: readonly string[]): Mishap | undefined {
    const said = this.#script?.({ operation, keys, number: this.#counts.calls })
    return said === undefined ? undefined : checkedMishap(said)
  }

  /** As many numbers for each call, whatever they say: so the n-th call meets the same, whatever the odds of the others were. */
  #drawn(): Mishap | undefined {
    const odds = this.#odds
    if (odds === undefined) return undefined
    const [which, isDelayed, delay, isLate, late] = Array.from({ length: 5 }, this.#random) as [number, number, number, number, number]
    const { fail = 0, refuse = 0, loseCall = 0, loseAnswer = 0 } = odds
    let outcome: MishapOutcome = 'pass'
    if (which < fail) outcome = 'fail'
    else if (which < fail + refuse) outcome = 'refuse'
    else if (which < fail + refuse + loseCall) outcome = 'lose-call'
    else if (which < fail + refuse + loseCall + loseAnswer) outcome = 'lose-answer'
    return {
      outcome,
      delayMs: isDelayed < (odds.delay ?? 0) ? delay * (odds.delayMs ?? DEFAULT_SPREAD_MS) : 0,
      lateMs: isLate < (odds.late ?? 0) ? late * (odds.lateMs ?? DEFAULT_SPREAD_MS) : 0,
    }
  }
}
