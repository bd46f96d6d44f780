/**
 * One mishap of one call, and how it is said that calls meet some: one by one, by a script, or by odds.
 *
 * A call has two halves, being done and being answered, and each can fail or be late without the other.
 */
import type { Clock } from '../clock.ts'
import { ConfigurationError } from '../errors.ts'
import { type Duration, fraction, knownOptions, oneOf } from '../options.ts'

/**
 * `pass`: nothing happens to it. `fail`: it is not done, and said to have failed. `refuse`: the same, and a store's save or removal for good.
 * `lose-call`: it is not done, and its caller cannot know. `lose-answer`: it is done, and its caller cannot know.
 */
export type MishapOutcome = 'pass' | 'fail' | 'refuse' | 'lose-call' | 'lose-answer'

export interface Mishap {
  /** Default: `pass`. */
  readonly outcome?: MishapOutcome | undefined
  /** How long before it is done, ms; it is done also where its caller has given up by then. `Infinity`: it hangs, and is never done. Default 0. */
  readonly delayMs?: number | undefined
  /** How long after it was done before it is answered, ms. `Infinity`: it hangs, and was done. Default 0. */
  readonly lateMs?: number | undefined
}

/** One call, for a script to decide on. */
export interface FlakyCall {
  /** The method's name: `get`, `apply`, `control.get`; `load`, `save`. */
  readonly operation: string
  readonly keys: readonly string[]
  /** 1 for the first call of all, and so on. */
  readonly number: number
}

/** @returns what the call meets; undefined: what the odds say */
export type MishapScript = (call: FlakyCall) => Mishap | MishapOutcome | undefined

/** Shares of calls, 0 to 1. What is not named is 0. The first four exclude one another, so their sum is at most 1. */
export interface MishapOdds {
  readonly fail?: number | undefined
  readonly refuse?: number | undefined
  readonly loseCall?: number | undefined
  readonly loseAnswer?: number | undefined
  /** How many are done late, by up to `delayMs`, drawn evenly. */
  readonly delay?: number | undefined
  /** Default 100. */
  readonly delayMs?: number | undefined
  /** How many are answered late, by up to `lateMs`, drawn evenly. */
  readonly late?: number | undefined
  /** Default 100. */
  readonly lateMs?: number | undefined
}

export interface FlakyOptions {
  /** Of the odds. Default 1. */
  readonly seed?: number | undefined
  /** Default: the system's; of a node, the one that it is connected with. */
  readonly clock?: Clock | undefined
  readonly odds?: MishapOdds | undefined
  readonly script?: MishapScript | undefined
  /** How long a call that hangs is waited for, where the call itself does not say. Default: '50ms' for a node, '10s' for a store. */
  readonly timeout?: Duration | undefined
}

const OUTCOMES: readonly MishapOutcome[] = ['pass', 'fail', 'refuse', 'lose-call', 'lose-answer']
const SHARES = ['fail', 'refuse', 'loseCall', 'loseAnswer', 'delay', 'late'] as const

/** @throws ConfigurationError for what is no mishap */
export function checkedMishap(given: Mishap | MishapOutcome): Mishap {
  if (typeof given === 'string') return { outcome: oneOf(given, 'mishap', OUTCOMES) }
  knownOptions(given, 'mishap', ['outcome', 'delayMs', 'lateMs'])
  if (given.outcome !== undefined) oneOf(given.outcome, 'mishap: outcome', OUTCOMES)
  fraction(given.delayMs ?? 0, 'mishap: delayMs', 0, Number.POSITIVE_INFINITY)
  fraction(given.lateMs ?? 0, 'mishap: lateMs', 0, Number.POSITIVE_INFINITY)
  return given
}

/** @throws ConfigurationError for shares that are none */
export function checkedOdds(odds: MishapOdds): MishapOdds {
  knownOptions(odds, 'mishap odds', [...SHARES, 'delayMs', 'lateMs'])
  for (const name of SHARES) fraction(odds[name] ?? 0, `mishap odds: ${name}`, 0, 1)
  for (const name of ['delayMs', 'lateMs'] as const) fraction(odds[name] ?? 0, `mishap odds: ${name}`, 0, Number.MAX_SAFE_INTEGER)
  const sum = (odds.fail ?? 0) + (odds.refuse ?? 0) + (odds.loseCall ?? 0) + (odds.loseAnswer ?? 0)
  if (sum > 1) throw ConfigurationError.of('mishap odds', 'fail, refuse, loseCall and loseAnswer to sum up to at most 1', sum)
  return odds
}
