/**
 * What a look-up found: a live value with its place in the key's order, or why there is none.
 *
 * A hit makes one of these and nothing more; what a hit does not need (version, load cost, tags) stays in the entry's bytes until it is
 * asked for.
 */
import type { Decoded } from '../codec/codec.ts'
import { type EntryKind, NO_STAMP, type Stamp, type Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'

/** `missing`: the nodes have no live entry. `unreachable`: no owner answered, so nothing is known. */
export type FoundState = 'fresh' | 'stale' | 'missing' | 'unreachable'

export interface Found<V> {
  readonly state: FoundState
  /** The entry says that the store has no such row: `value` is undefined, and that is an answer. */
  readonly negative: boolean
  readonly value: V | undefined
  /** The id of the node that answered. */
  readonly node: string | undefined
  /** 0n when there is no live value. */
  readonly version: Version
  /** What a compare-and-set has to name: the version of a value that lies there though it is over or not current, too; 0n of anything else. */
  readonly expected: Version
  /** The place of whatever entry lies there, a tombstone too: what a fill has to be put over. */
  readonly seen: Stamp
  /** The live entry; undefined where there is none. */
  readonly entry: Decoded<V> | undefined
  /** For how long the value is still fresh, ms; not above 0 where it is not. */
  readonly freshForMs: number
  /** Length of the entry on the node. */
  readonly sizeBytes: number
  readonly failure: RingtailError | undefined
}

export class Live<V> implements Found<V> {
  readonly state: 'fresh' | 'stale'
  readonly value: V | undefined
  readonly node: string
  readonly freshForMs: number
  readonly sizeBytes: number
  readonly entry: Decoded<V>
  readonly failure = undefined

  constructor(entry: Decoded<V>, freshForMs: number, node: string, sizeBytes: number) {
    this.state = freshForMs > 0 ? 'fresh' : 'stale'
    this.value = entry.value
    this.node = node
    this.freshForMs = freshForMs
    this.sizeBytes = sizeBytes
    this.entry = entry
  }

  get negative(): boolean {
    return this.entry.kind === 'negative' || (this.entry.kind === 'pending' && this.entry.value === undefined)
  }

  get version(): Version {
    return this.negative ? 0n : this.entry.version
  }

  get expected(): Version {
    return this.entry.kind === 'negative' ? 0n : this.entry.version
  }

  get seen(): Stamp {
    return this.entry
  }
}

export class Absent implements Found<never> {
  readonly state: 'missing' | 'unreachable'
  readonly negative = false
  readonly value = undefined
  readonly node: string | undefined
  readonly version = 0n
  readonly entry = undefined
  readonly freshForMs = 0
  readonly sizeBytes = 0
  readonly failure: RingtailError | undefined
  readonly seen: Stamp
  readonly expected: Version

  constructor(
    state: 'missing' | 'unreachable',
    node: string | undefined,
    failure: RingtailError | undefined,
    seen: Stamp & { readonly kind?: EntryKind } = NO_STAMP,
  ) {
    this.state = state
    this.node = node
    this.failure = failure
    this.seen = seen
    this.expected = seen.kind === 'value' || seen.kind === 'pending' ? seen.version : 0n
  }
}
