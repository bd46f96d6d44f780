/**
 * Looks at keys: each owner's own answer and the store's, put side by side.
 *
 * Owners are asked past all levels, probes and repairs, in one request a node, for what they themselves hold. The store is asked first; where
 * a copy seems wrong by that it is asked once more, and only what is wrong by both answers is called so, for a row may change between two
 * questions. Nothing is changed by a look, but that to a node a key looked at is a key used.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Codec, Decoded } from '../codec/codec.ts'
import { begunOf, isEnvelope, kindOf, versionOf } from '../codec/envelope.ts'
import type { KeyCodec } from '../codec/key.ts'
import { xxh32 } from '../codec/xxh32.ts'
import type { Currency } from '../entry.ts'
import { DeadlineError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import type { Row, StoreReader } from '../store/store.ts'
import { type Copy, type Fault, judgeCopies, type RowSeen, type Yardstick } from './judge-copies.ts'

export interface LookerParts<V> {
  readonly cluster: Pick<Cluster, 'nodes' | 'ownersOf'>
  readonly keys: KeyCodec
  readonly codec: Codec<V>
  readonly currency: Currency | undefined
  /** The store, and whether copies carry the versions of its rows; undefined: owners are compared with one another. */
  readonly truth: { readonly reader: StoreReader<V>; readonly ordered: boolean } | undefined
  readonly clock: Clock
  /** Of a store with versions: whether copies of their row's version are not compared by value. Default false. */
  readonly versionsOnly?: boolean | undefined
}

/** What one owner was found to serve. `none`: nothing that would be served. `unjudged`: it, or the store, did not answer. */
export interface Sight {
  readonly key: string
  readonly wire: string
  readonly node: string
  readonly isPrimary: boolean
  readonly state: 'right' | 'wrong' | 'none' | 'unjudged'
  /** Where it is wrong. */
  readonly fault: Fault | undefined
  readonly copy: Copy | undefined
  /** Of the row it was compared with: equal while that is the same. */
  readonly rowMark: string
}

export interface Look {
  readonly sights: readonly Sight[]
  /** Monotonic, ms: no owner was asked before the first, none was still to answer after the second. */
  readonly askedMs: number
  readonly doneMs: number
}

/** Off the hot path, and longer than a try of it. */
const NODE_TIMEOUT_MS = 1_000
const STORE_TIMEOUT_MS = 2_000
const ABSENT: RowSeen = { state: 'absent', mark: 'absent' }
const UNKNOWN: RowSeen = { state: 'unknown', mark: 'unknown' }

interface Asked<V> {
  readonly key: string
  readonly wire: string
  readonly owners: readonly CacheNode[]
  /** By owner, in order; undefined: it did not answer. */
  readonly held: ({ readonly copy: Copy | undefined; readonly entry: Decoded<V> | undefined } | undefined)[]
}

export class Looker<V> {
  readonly #parts: LookerParts<V>
  readonly #reader: StoreReader<V> | undefined
  readonly #yardstick: Yardstick

  constructor(parts: LookerParts<V>) {
    this.#parts = parts
    this.#reader = parts.truth?.reader
    this.#yardstick = parts.truth === undefined ? 'owners' : parts.truth.ordered ? 'store' : 'values'
  }

  /** One sight for each owner of each key; never rejects for what does not answer. @param wires keys as they lie on the nodes; others than this cache's are passed over */
  async look(wires: readonly string[]): Promise<Look> {
    const { clock, cluster, keys } = this.#parts
    const asked: Asked<V>[] = []
    for (const wire of wires) {
      const key = keyOf(wire, keys)
      if (key !== undefined) asked.push({ key, wire, owners: cluster.ownersOf(wire), held: [] })
    }
    const before = await this.#rows(asked)
    const askedMs = clock.monotonic()
    await this.#askOwners(asked)
    const faults = asked.map((each, at) => this.#judge(each, before[at]!))
    const doubted = asked.filter((_, at) => faults[at]!.some((fault) => fault !== undefined))
    const after = new Map(doubted.map((each) => [each, UNKNOWN]))
    for (const [nth, row] of (await this.#rows(doubted)).entries()) after.set(doubted[nth]!, row)
    const sights = asked.flatMap((each, at) => {
      const rows = [before[at]!, after.get(each) ?? before[at]!] as const
      return this.#sightsOf(each, faults[at]!, this.#judge(each, rows[1]), rows)
    })
    return { sights, askedMs, doneMs: clock.monotonic() }
  }

  #sightsOf(asked: Asked<V>, first: Faults, second: Faults, [before, after]: readonly [RowRead<V>, RowRead<V>]): Sight[] {
    const unread = this.#reader !== undefined && (before.state === 'unknown' || after.state === 'unknown')
    return asked.owners.map((owner, nth) => {
      const copy = asked.held[nth]?.copy
      const fault = first[nth] === undefined ? undefined : second[nth]
      const served = copy?.served === true
      const judged = unread ? 'unjudged' : fault === undefined ? 'right' : 'wrong'
      const state = asked.held[nth] === undefined ? 'unjudged' : served ? judged : 'none'
      const { key, wire } = asked
      const rowMark = fault?.staleness === 'different' ? this.#valueMark(after) : after.mark
      return { key, wire, node: owner.id, isPrimary: nth === 0, state, fault, copy, rowMark }
    })
  }

  #judge({ held }: Asked<V>, row: RowRead<V>): Faults {
    const copies = held.map((each) => {
      if (each?.copy?.served !== true || each.entry === undefined || row.state !== 'row' || row.value === undefined) return each?.copy
      const { copy, entry } = each
      if (this.#yardstick === 'store' && copy.version !== row.version) return copy
      return { ...copy, isRowsValue: copy.kind !== 'value' || this.#isValueOf(row, entry.value) }
    })
    return judgeCopies(copies, row, this.#yardstick)
  }

  /** A row's value is brought to what a reader of its copy would get only where it is not that already: that costs. */
  #isValueOf({ value, bytes }: ReadRow<V>, held: V | undefined): boolean {
    if (isSameValue(held, value!.of) || bytes !== undefined) return isSameValue(held, value!.of)
    const encoded = this.#encoded(value!.of as V)
    // What cannot be cached is not what was cached; but nothing says that it is newer.
    return encoded === undefined || isSameValue(held, encoded.of)
  }

  /** Equal while the row's value is. */
  #valueMark(row: RowRead<V>): string {
    if (row.state !== 'row' || row.value === undefined || row.bytes !== undefined) return row.mark
    const { bytes } = this.#encoded(row.value.of as V) ?? {}
    return bytes === undefined ? row.mark : `${row.mark} ${xxh32(bytes, 0, bytes.length, 0)}`
  }

  async #askOwners(asked: readonly Asked<V>[]): Promise<void> {
    const byNode = new Map<CacheNode, { readonly asked: Asked<V>; readonly nth: number }[]>()
    for (const each of asked) {
      for (const [nth, owner] of each.owners.entries()) {
        each.held.push(undefined)
        const list = byNode.get(owner) ?? []
        list.push({ asked: each, nth })
        byNode.set(owner, list)
      }
    }
    await Promise.all(
      Array.from(byNode, async ([node, places]) => {
        const wires = places.map(({ asked: { wire } }) => wire)
        const found = await node.getMany(wires, { timeoutMs: NODE_TIMEOUT_MS }).catch(() => undefined)
        if (found === undefined) return
        for (const [at, place] of places.entries()) place.asked.held[place.nth] = this.#copyOf(found[at])
      }),
    )
    await this.#judgeGroups(asked)
  }

  #copyOf(bytes: Uint8Array | undefined): NonNullable<Asked<V>['held'][number]> {
    if (bytes === undefined || !isEnvelope(bytes)) return { copy: undefined, entry: undefined }
    const kind = kindOf(bytes)
    if (kind === undefined) return { copy: undefined, entry: undefined }
    const decoded = this.#parts.codec.decode(bytes)
    const place = { kind, version: versionOf(bytes), begun: begunOf(bytes), isRowsValue: undefined }
    if (decoded.rejected !== undefined) return { copy: { ...place, served: false }, entry: undefined }
    const live = kind !== 'tombstone' && kind !== 'vacant' && decoded.freshUntilMs + decoded.graceMs > this.#parts.clock.now()
    return { copy: { ...place, served: live }, entry: decoded }
  }

  /** What belongs to a group that was deleted since is served to nobody. */
  async #judgeGroups(asked: readonly Asked<V>[]): Promise<void> {
    const { currency } = this.#parts
    if (currency === undefined) return
    const unsure: { readonly key: string; readonly entry: Decoded<V>; readonly refuse: () => void }[] = []
    for (const { key, held } of asked) {
      for (const [nth, each] of held.entries()) {
        if (each?.copy?.served !== true || each.entry === undefined) continue
        const { copy, entry } = each
        const refuse = (): void => {
          held[nth] = { copy: { ...copy, served: false }, entry }
        }
        const current = currency.isCurrent(entry, key)
        if (current === undefined) unsure.push({ key, entry, refuse })
        else if (!current) refuse()
      }
    }
    if (unsure.length === 0) return
    for (const [at, current] of (await currency.learn(unsure)).entries()) if (!current) unsure[at]!.refuse()
  }

  /** In order. */
  async #rows(asked: readonly Asked<V>[]): Promise<RowRead<V>[]> {
    const reader = this.#reader
    if (reader === undefined || asked.length === 0) return asked.map(() => UNKNOWN)
    const loaded = await this.#load(
      reader,
      asked.map(({ key }) => key),
    ).catch(() => undefined)
    return asked.map(({ key }) => {
      if (loaded === undefined || loaded.failed?.has(key) === true) return UNKNOWN
      const row = loaded.rows.get(key)
      return row === undefined ? ABSENT : this.#rowOf(row)
    })
  }

  async #load(reader: StoreReader<V>, keys: readonly string[]): ReturnType<StoreReader<V>['load']> {
    const late = new AbortController()
    const deadline = Promise.withResolvers<never>()
    const timer = this.#parts.clock.after(STORE_TIMEOUT_MS, () => {
      const error = new DeadlineError(`${reader.name} did not answer a consistency check within ${STORE_TIMEOUT_MS} ms`)
      late.abort(error)
      deadline.reject(error)
    })
    try {
      return await Promise.race([reader.load(keys, { signal: late.signal }), deadline.promise])
    } finally {
      timer.cancel()
    }
  }

  #rowOf({ value, version }: Row<V>): RowRead<V> {
    if (this.#yardstick === 'store') {
      const mark = String(version)
      return this.#parts.versionsOnly === true ? { state: 'row', version, mark } : { state: 'row', version, mark, value: { of: value } }
    }
    const encoded = this.#encoded(value)
    // What cannot be encoded is not cached either, and nothing can be said of it.
    if (encoded === undefined) return UNKNOWN
    const { bytes, of } = encoded
    return { state: 'row', version, mark: String(xxh32(bytes, 0, bytes.length, 0)), value: { of }, bytes }
  }

  /** A value as a reader of its copy would get it: through the codec and back. */
  #encoded(value: V): { readonly bytes: Uint8Array; readonly of: V | undefined } | undefined {
    try {
      const { codec } = this.#parts
      // As pending: an ordinary value may be packed otherwise each time, and would look like another.
      const bytes = codec.encode('pending', value, { version: 0n, freshUntilMs: 0, graceMs: 0, begun: 0 })
      const decoded = codec.decode(bytes)
      return decoded.rejected === undefined ? { bytes, of: decoded.value } : undefined
    } catch {
      return undefined
    }
  }
}

type Faults = readonly (Fault | undefined)[]
type ReadRow<V> = Extract<RowSeen, { state: 'row' }> & {
  /** Of the row; undefined where values are not compared. */
  readonly value?: { readonly of: V | undefined }
  /** Where the value is as a reader of its copy would get it: that, encoded. */
  readonly bytes?: Uint8Array
}
type RowRead<V> = ReadRow<V> | Exclude<RowSeen, { state: 'row' }>

/** A store over columns has null for what a value left out. */
function isSameValue(held: unknown, ofRow: unknown): boolean {
  return isDeepStrictEqual(held, ofRow) || isDeepStrictEqual(withoutNulls(held), withoutNulls(ofRow))
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null))
}

/** @returns undefined for what is no text that leads back to the key */
function keyOf(wire: string, keys: KeyCodec): string | undefined {
  const bytes = keys.decode(wire)
  if (bytes === undefined) return undefined
  const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  return keys.encode(key) === wire ? key : undefined
}
