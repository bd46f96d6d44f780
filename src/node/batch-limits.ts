/**
 * What may gather and wait on one connection of a node: checked once, where the node is made.
 */
import { knownOptions, wholeNumber } from '../options.ts'

export interface BatchLimits {
  /** Keys a batch, at most. */
  readonly maxKeys: number
  /** Bytes a batch, at most; a larger value goes alone. */
  readonly maxBytes: number
  /** Batches under way at a time on a connection. Default 3: of several copies a third was measured to be worth a twentieth, and of one it costs nothing. */
  readonly maxFlights: number
  /** Keys that may wait on a connection; one more fails with `OverloadError`. */
  readonly maxQueue: number
}

/** @throws ConfigurationError for a limit that cannot be */
export function batchLimits(given: Partial<BatchLimits>, what: string): BatchLimits {
  knownOptions(given, `${what}: batch`, ['maxKeys', 'maxBytes', 'maxFlights', 'maxQueue'])
  return {
    maxKeys: wholeNumber(given.maxKeys ?? 128, `${what}: batch.maxKeys`, 1, 1_024),
    maxBytes: wholeNumber(given.maxBytes ?? 256 * 1024, `${what}: batch.maxBytes`, 1_024),
    maxFlights: wholeNumber(given.maxFlights ?? 3, `${what}: batch.maxFlights`, 1, 64),
    maxQueue: wholeNumber(given.maxQueue ?? 16_384, `${what}: batch.maxQueue`, 1),
  }
}
