/**
 * What bytes of a node are to one cache: a live value, or why there is none.
 *
 * Nothing that was read is trusted: bytes that are not an entry of this cache are a miss and an event, and so, without one, is what is dead
 * or belongs to a group that was deleted since it began. Where it is not known here whether it was, or by which dictionary the entry was
 * packed, the nodes are asked once.
 */
import type { Clock } from '../clock.ts'
import type { Fetched } from '../cluster/cluster.ts'
import type { Codec, Decoded, Rejection } from '../codec/codec.ts'
import { isEnvelope, stampOf } from '../codec/envelope.ts'
import type { Currency } from '../entry.ts'
import type { Emit } from '../events.ts'
import { Absent, type Found, Live } from './found.ts'

/** A write that the store does not have yet is not loaded anew. */
const PENDING_FRESH_MS = 24 * 86_400_000

export interface EntryJudgeParts<V> {
  readonly cache: string
  readonly codec: Codec<V>
  readonly clock: Clock
  /** By which it is judged what is fresh. Default: `clock`. */
  readonly readClock?: Clock | undefined
  readonly emit: Emit
  /** Undefined where there are no groups: plain values. */
  readonly currency?: Currency | undefined
}

export class EntryJudge<V> {
  readonly #parts: EntryJudgeParts<V>
  readonly #clock: Clock

  constructor(parts: EntryJudgeParts<V>) {
    this.#parts = parts
    this.#clock = parts.readClock ?? parts.clock
  }

  /** In order. @param isLast whether dictionaries were asked for already */
  async judgeMany(keys: readonly string[], fetched: readonly Fetched[], isLast = false): Promise<Found<V>[]> {
    const decoded = this.#parts.codec.decodeMany(bytesOf(fetched))
    const found = new Array<Found<V> | undefined>(fetched.length)
    const unsure: number[] = []
    for (let at = 0; at < found.length; at++) {
      found[at] = this.#judged(keys[at]!, fetched[at]!, decoded[at], isLast)
      if (found[at] === undefined) unsure.push(at)
    }
    if (unsure.length > 0) {
      const unknown = unsure.map((at) => keys[at]!)
      const asked = Array.from(unsure, (at) => fetched[at]!)
      const learnt = await (isLast ? this.#learnCurrent(unknown, asked) : this.learn(unknown, asked))
      for (const [nth, at] of unsure.entries()) found[at] = learnt[nth]!
    }
    return found as Found<V>[]
  }

  /** For entries of which it is not known here what they say, or whether they are current. What cannot be learnt is a miss. */
  async learn(keys: readonly string[], fetched: readonly Fetched[]): Promise<Found<V>[]> {
    const lacking = fetched.flatMap(({ bytes }) => this.#parts.codec.lacking?.(bytes!) ?? [])
    if (lacking.length === 0) return this.#learnCurrent(keys, fetched)
    await Promise.all(lacking)
    return this.judgeMany(keys, fetched, true)
  }

  async #learnCurrent(keys: readonly string[], fetched: readonly Fetched[]): Promise<Found<V>[]> {
    const { codec, currency } = this.#parts
    const entries = fetched.map(({ bytes }, at) => ({ key: keys[at]!, entry: codec.decode(bytes!) as Decoded<V> }))
    const current = await currency!.learn(entries)
    return fetched.map(({ node, bytes }, at) => {
      const { entry } = entries[at]!
      const freshForMs = entry.freshUntilMs - this.#clock.now()
      return current[at] ? new Live(entry, freshForMs, node!.id, bytes!.length) : new Absent('missing', node?.id, undefined, entry)
    })
  }

  /** @returns undefined when it is not known what the entry says, or whether it is current */
  judge(key: string, fetched: Fetched): Found<V> | undefined {
    return this.#judged(key, fetched, fetched.bytes === undefined ? undefined : this.#parts.codec.decode(fetched.bytes), false)
  }

  /** @param decoded its bytes, undefined where it has none @param isLast whether dictionaries were asked for already */
  #judged(key: string, fetched: Fetched, decoded: Decoded<V> | Rejection | undefined, isLast: boolean): Found<V> | undefined {
    const { bytes, node } = fetched
    if (bytes === undefined || decoded === undefined)
      return new Absent(node === undefined ? 'unreachable' : 'missing', node?.id, fetched.failure)
    if (decoded.rejected !== undefined) {
      if (decoded.rejected === 'dictionary' && !isLast && this.#parts.codec.lacking?.(bytes) !== undefined) return undefined
      // Another schema, serializer or release is what a rolling deploy looks like, and a dictionary can be evicted; the rest should not be there.
      if (decoded.rejected !== 'schema' && decoded.rejected !== 'format' && decoded.rejected !== 'dictionary') {
        this.#parts.emit('entry:rejected', { cache: this.#parts.cache, node: node?.id, reason: `${decoded.rejected}: ${decoded.detail}` })
      }
      // Its place in the order is what it says all the same: that is what nodes go by.
      return new Absent('missing', node?.id, undefined, isEnvelope(bytes) ? stampOf(bytes) : undefined)
    }
    const { kind } = decoded
    if (kind === 'tombstone' || kind === 'vacant') return new Absent('missing', node?.id, undefined, decoded)
    // The store does not have it yet: it is the truth however old it is, and whatever groups were deleted since.
    if (kind === 'pending') return new Live(decoded, PENDING_FRESH_MS, node!.id, bytes.length)
    const freshForMs = decoded.freshUntilMs - this.#clock.now()
    if (freshForMs <= 0 && freshForMs + decoded.graceMs <= 0) return new Absent('missing', node?.id, undefined, decoded)
    const current = this.#parts.currency === undefined ? true : this.#parts.currency.isCurrent(decoded, key)
    if (current === undefined) return undefined
    return current ? new Live(decoded, freshForMs, node!.id, bytes.length) : new Absent('missing', node?.id, undefined, decoded)
  }
}

function bytesOf(fetched: readonly Fetched[]): (Uint8Array | undefined)[] {
  const bytes = new Array<Uint8Array | undefined>(fetched.length)
  for (let at = 0; at < bytes.length; at++) bytes[at] = fetched[at]!.bytes
  return bytes
}
