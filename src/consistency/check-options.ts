/**
 * What a check is told, made whole and checked once: milliseconds and numbers from here on.
 */
import { ConfigurationError } from '../errors.ts'
import { durationMs, fraction, knownOptions, oneOf, wholeNumber } from '../options.ts'
import type { CheckOptions } from './consistency.ts'

export interface CheckedCheckOptions {
  readonly boundMs: number
  readonly share: number
  /** Undefined: no sweeps. */
  readonly sweepEveryMs: number | undefined
  readonly keysPerSecond: number
  readonly rechecks: number
  readonly maxFindings: number
  /** Undefined: the store where there is one. */
  readonly against: 'store' | 'versions' | 'owners' | undefined
}

const NAMES = ['bound', 'share', 'sweepEvery', 'keysPerSecond', 'rechecks', 'maxFindings', 'against']
/** What is asked twice within less was hardly given time to arrive. */
const LEAST_BOUND_MS = 10

/** @param what for messages: `checkConsistency of 'product'` @throws ConfigurationError for an option that is not what it should be */
export function checkedCheckOptions(options: CheckOptions, what: string): CheckedCheckOptions {
  knownOptions(options, what, NAMES)
  const boundMs = durationMs(options.bound ?? '2s', `${what}: bound`)
  if (boundMs < LEAST_BOUND_MS) throw ConfigurationError.of(`${what}: bound`, `at least ${LEAST_BOUND_MS} ms`, options.bound)
  const { against, sweepEvery = '10m' } = options
  const share = fraction(options.share ?? 0.01, `${what}: share`, 0, 1)
  if (share === 0 && sweepEvery === false) {
    throw ConfigurationError.of(what, 'a share of the changes or sweeps to look at', 'share: 0, sweepEvery: false')
  }
  return {
    boundMs,
    share,
    sweepEveryMs: sweepEvery === false ? undefined : durationMs(sweepEvery, `${what}: sweepEvery`),
    keysPerSecond: wholeNumber(options.keysPerSecond ?? 500, `${what}: keysPerSecond`, 1, 1_000_000),
    rechecks: wholeNumber(options.rechecks ?? 3, `${what}: rechecks`, 1, 10),
    maxFindings: wholeNumber(options.maxFindings ?? 100, `${what}: maxFindings`, 1, 10_000),
    against:
      against === undefined
        ? undefined
        : oneOf<'store' | 'versions' | 'owners'>(against, `${what}: against`, ['store', 'versions', 'owners']),
  }
}
