/**
 * The contract of a serializer: a value as bytes, and back.
 *
 * Its number lies in every entry that it made, so that a cache which changes its serializer takes what it wrote before for a miss and not
 * for a value. What it cannot give back as it was it refuses when it encodes: a value that changes in the cache is worse than an error.
 */

export interface Serializer<V> {
  /** 1 to 15, the low nibble of an entry's codec byte. Ringtail's own: 1 JSON, 2 MessagePack, 3 raw bytes; 4 to 7 are kept for it. */
  readonly id: number
  readonly name: string
  /** @returns bytes that the caller only reads, and at once @throws EncodeError for a value that it cannot give back */
  encode(value: V): Uint8Array
  /** Present where what `encode` returns is the UTF-8 of a text: of small values it is asked for in place of `encode`, which spares them bytes of their own. */
  text?(value: V): string
  /** Reads [start, end) of `bytes` and keeps no part of them. @throws anything, when they are not what `encode` makes */
  decode(bytes: Uint8Array, start: number, end: number): V
  /**
   * Present where many may be read in less time together: as `decode` of each, in order.
   * @returns undefined where it does not read these together, or some are not what `encode` makes: then each is asked for alone
   */
  decodeMany?(bytes: readonly Uint8Array[], starts: readonly number[], ends: readonly number[]): V[] | undefined
}
