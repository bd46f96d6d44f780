/**
 * The checks of what stores are made with, beside those of `options.ts`: a name, a switch, a function, a pool.
 *
 * An option that is undefined is one not given, and has its default; anything else that is wrong is refused where the store is made, not
 * where it is first asked.
 */
import { ConfigurationError } from '../errors.ts'

/** @returns the text, or the default when none was given @throws ConfigurationError for an empty one */
export function textOr(fallback: string, value: string | undefined, what: string): string {
  return value === undefined ? fallback : requiredText(value, what)
}

export function requiredText(value: string, what: string): string {
  if (typeof value !== 'string' || value === '') throw ConfigurationError.of(what, 'a text that is not empty', value)
  return value
}

export function booleanOr(fallback: boolean, value: boolean | undefined, what: string): boolean {
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw ConfigurationError.of(what, 'true or false', value)
  return value
}

/** @returns the function, or undefined when none was given */
export function optionalFunction<F extends (...args: never[]) => unknown>(value: F | undefined, what: string): F | undefined {
  if (value !== undefined && typeof value !== 'function') throw ConfigurationError.of(what, 'a function', value)
  return value
}

/** @returns the value, once it has these methods @param needed what has them, for the message */
export function withMethods<T>(value: T, methods: readonly string[], what: string, needed: string): T {
  const held = value as Record<string, unknown> | null | undefined
  const missing = methods.find((method) => typeof held?.[method] !== 'function')
  if (missing !== undefined) throw ConfigurationError.of(what, `${needed} (with ${methods.join(', ')})`, value)
  return value
}
