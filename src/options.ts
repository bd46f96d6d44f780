/**
 * Options, checked once.
 *
 * What a user hands in is checked where it is handed in, by the function named after it, and is milliseconds and frozen from there on.
 * Anything wrong throws a `ConfigurationError` that names the option, what it needs and what came.
 */
import { ConfigurationError } from './errors.ts'

/** Milliseconds, or a number with a unit: `'250ms'`, `'5s'`, `'10m'`, `'1.5h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** What every call that may wait takes. */
export interface CallOptions {
  /** Gives the caller's wait up: the call rejects with the signal's reason. Work shared with other callers goes on for them. */
  readonly signal?: AbortSignal | undefined
  /** The whole call's bound. Default: 250 ms for what nodes answer, 1 s where the store must be asked. */
  readonly deadline?: Duration | undefined
}

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The longest duration taken: 10 years. What is longer is a mistake in units. */
const LONGEST_MS = 3_650 * UNIT_MS.d

/** @returns milliseconds ≥ 0, rounded to a whole number @throws ConfigurationError on anything else */
export function durationMs(value: Duration, what: string): number {
  let ms: number
  if (typeof value === 'number') {
    ms = value
  } else {
    const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null
    ms = match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
  }
  if (!(ms >= 0 && ms <= LONGEST_MS)) {
    throw ConfigurationError.of(
      what,
      "a duration: milliseconds ≥ 0 or a string such as '250ms', '5s', '10m', '1h', '7d' (at most 10 years)",
      value,
    )
  }
  return Math.round(ms)
}

/** @returns the value, once it is a whole number in [min, max] */
export function wholeNumber(value: number, what: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw ConfigurationError.of(
      what,
      max === Number.MAX_SAFE_INTEGER ? `a whole number ≥ ${min}` : `a whole number from ${min} to ${max}`,
      value,
    )
  }
  return value
}

/** @returns the value, once it is a number in [min, max] */
export function fraction(value: number, what: string, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max))
    throw ConfigurationError.of(what, `a number from ${min} to ${max}`, value)
  return value
}

/** @returns the value, once it is one of those allowed */
export function oneOf<T extends string>(value: T, what: string, allowed: readonly T[]): T {
  if (!allowed.includes(value)) throw ConfigurationError.of(what, `one of ${allowed.map((each) => `'${each}'`).join(', ')}`, value)
  return value
}

/** @returns the tags, each once @throws ConfigurationError for what is no list of texts */
export function checkedTags(tags: readonly string[], what: string): readonly string[] {
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string' && tag !== '')) {
    throw ConfigurationError.of(what, 'an array of texts that are not empty', tags)
  }
  return tags.length < 2 ? tags : [...new Set(tags)]
}

/** Throws on an option that does not exist: a misspelt one would otherwise be silently without effect. */
export function knownOptions(options: object, what: string, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw ConfigurationError.of(what, 'an object of options', options)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw ConfigurationError.of(what, `options among ${known.join(', ')}`, name)
  }
}
