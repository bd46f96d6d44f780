/**
 * What can be wrong with one direction of a connection.
 *
 * All are things that TCP lets happen: bytes come late, slowly, in other pieces than they were written in, not at all for a while, or until
 * the connection is reset. None loses a byte in the middle of a stream or changes their order, for that TCP does not do either.
 */
import { ConfigurationError } from '../errors.ts'
import { fraction, knownOptions, wholeNumber } from '../options.ts'

/** `up`: from the client to the server. `down`: from the server to the client. */
export type Direction = 'up' | 'down'

export const DIRECTIONS: readonly Direction[] = ['up', 'down']

/** Each is off unless given; `undefined` takes it off again. */
export interface Toxics {
  /** Every byte, and the end of the stream, comes this much later, ms. */
  readonly latencyMs?: number | undefined
  /** And each chunk by up to this much more, ms, drawn evenly. None overtakes another. */
  readonly jitterMs?: number | undefined
  /** What one connection may carry, bytes a second. */
  readonly bytesPerSecond?: number | undefined
  /** Every chunk comes in pieces of 1 to this many bytes, drawn evenly, each a read of its own for the receiver. 1: byte by byte. */
  readonly sliceBytes?: number | undefined
  /** Every chunk that has more is cut after this many bytes: run through them all, and a parser has been cut everywhere. */
  readonly cutAfterBytes?: number | undefined
  /**
   * Nothing comes through; connections are accepted as ever. On one direction alone it is a one-way drop. What was sent
   * meanwhile comes once it is taken off, as TCP sends again what was not acknowledged. Who connects and leaves meanwhile never came: a handshake
   * that was given up does not end later.
   */
  readonly blackhole?: boolean | undefined
  /**
   * Each connection carries this many more bytes and is then reset (RST) on both sides: in the middle of a reply. 0: in place of the next
   * byte. Counted from when it is set, and anew for each new connection until it is taken off.
   */
  readonly resetAfterBytes?: number | undefined
}

const KNOWN: readonly (keyof Toxics)[] = [
  'latencyMs',
  'jitterMs',
  'bytesPerSecond',
  'sliceBytes',
  'cutAfterBytes',
  'blackhole',
  'resetAfterBytes',
]

/** A day: what is later is a blackhole. */
const LONGEST_MS = 86_400_000

/** @throws ConfigurationError for what no toxic can be */
export function checkedToxics(toxics: Toxics): Toxics {
  knownOptions(toxics, 'toxic proxy: set', KNOWN)
  const { latencyMs, jitterMs, bytesPerSecond, sliceBytes, cutAfterBytes, blackhole, resetAfterBytes } = toxics
  if (latencyMs !== undefined) fraction(latencyMs, 'toxic proxy: latencyMs', 0, LONGEST_MS)
  if (jitterMs !== undefined) fraction(jitterMs, 'toxic proxy: jitterMs', 0, LONGEST_MS)
  if (bytesPerSecond !== undefined) wholeNumber(bytesPerSecond, 'toxic proxy: bytesPerSecond', 1)
  if (sliceBytes !== undefined) wholeNumber(sliceBytes, 'toxic proxy: sliceBytes', 1)
  if (cutAfterBytes !== undefined) wholeNumber(cutAfterBytes, 'toxic proxy: cutAfterBytes', 1)
  if (resetAfterBytes !== undefined) wholeNumber(resetAfterBytes, 'toxic proxy: resetAfterBytes', 0)
  if (blackhole !== undefined && typeof blackhole !== 'boolean')
    throw ConfigurationError.of('toxic proxy: blackhole', 'true or false', blackhole)
  return toxics
}

/** Whether bytes may be handed on as they come. */
export function isHarmless(toxics: Toxics): boolean {
  return Object.values(toxics).every((value) => value === undefined || value === false)
}
