/**
 * What may never happen, whatever fails: the promises, as checks of every single call.
 *
 * Promised while nothing was lost, that is while the owners asked have neither lost nor evicted nor outlived what lies under the key:
 *  - after an acknowledged write or delete, a read that is answered by an owner which has taken it, in any process, shows that write or a
 *    later one; so no delete is undone (`overtaken`). Order is the store's where it has versions, else the entries' own;
 *  - a value without a store that was read, by the first owner's word or a quorum's, and then overwritten does not come back (`came back`);
 *  - the same of a read that asks a quorum, whichever owners answer, if more than half of them took the write; and of what a near cache
 *    answers, once the change must have been heard;
 *  - a quorum of owners, or all, hold a write of a cache without a store when it is acknowledged (`unacknowledged`);
 *  - an owner's entries only go forward (`backwards`, see `owner-record.ts`).
 * Promised whatever is lost, be it every node at once:
 *  - nothing is read that was not written under that key and, with a store, committed by it (`phantom`);
 *  - nothing is read later after it was overtaken in the store than one load, ttl and grace take, by clocks as far apart as they are
 *    (`outlived`); in a cache without a store, than its ttl and grace after it was made; what was just loaded is at most a load old
 *    (`old load`), what was loaded anew is of after the call (`old refresh`);
 *  - a session's reads see its writes (`session`); a key is leased to one at a time, and filled by nobody else (`lease`);
 *  - an acknowledged write is in the store (`unsaved`), and no update loses another's (`lost update`);
 *  - every call ends in its time (`late`), with an error of the library if with one (`wrong error`).
 * Where nobody orders (no row versions, other people's loaders) only the bounds hold: clocks decide there, and they differ.
 */
import { isEnvelope, kindOf, payloadEndOf, payloadStartOf, versionOf } from '../../src/codec/envelope.ts'
import type { Version } from '../../src/entry.ts'
import { RingtailError } from '../../src/errors.ts'
import type { Change, Status } from '../../src/node/node.ts'
import type { SimServer } from './sim-server.ts'
import type { Truth, Value } from './truth.ts'

export type Rule =
  | 'overtaken'
  | 'came back'
  | 'unacknowledged'
  | 'backwards'
  | 'phantom'
  | 'outlived'
  | 'old load'
  | 'old refresh'
  | 'session'
  | 'lease'
  | 'unsaved'
  | 'lost update'
  | 'late'
  | 'wrong error'
  | 'hung'
  | 'leak'
  | 'unhealed'
  | 'apart'

export interface Violation {
  readonly rule: Rule
  readonly atMs: number
  /** As it lies on the nodes; '' where it is not of one key. */
  readonly key: string
  readonly what: string
}

/** How a cache's values are ordered. `rows`: by the store. `clocks`: by when loads began. `writers`: by the writers' versions; no store. */
export type Order = 'rows' | 'clocks' | 'writers'

export interface Bounds {
  readonly ttlMs: number
  readonly graceMs: number
  readonly loadMs: number
  readonly callMs: number
  /** By how much clocks have differed at most, and for how long processes stood still, so far, ms. */
  readonly skewMs: () => number
  readonly pausedMs: () => number
}

export interface ChecksParts {
  readonly nowMs: () => number
  readonly truth: Truth
  readonly bounds: Bounds
  readonly ownersOf: (key: string) => readonly SimServer[]
  /** How late a client may hear of a change that was made since, ms. */
  readonly unheardMs: (client: string, key: string, sinceMs: number) => number
  readonly violated: (violation: Violation) => void
}

export interface SeenRead {
  readonly client: string
  readonly order: Order
  readonly key: string
  readonly value: Value | undefined
  readonly outcome?: string | undefined
  readonly node?: string | undefined
  /** It was loaded anew, at the caller's wish. */
  readonly anew?: boolean | undefined
  /** A quorum was asked; or the cache has a near cache, which answered where no node did. */
  readonly quorum: boolean
  readonly near: boolean
  readonly callMs: number
}

export interface SeenWrite {
  readonly client: string
  readonly order: Order
  readonly key: string
  /** Undefined: a delete. */
  readonly value: Value | undefined
  /** It is acknowledged only when every owner has it. */
  readonly all: boolean
  readonly callMs: number
}

interface Promised {
  readonly position: number | Version
  /** The owners that had it when it was acknowledged: what they answer shows it. */
  readonly took: ReadonlySet<string>
  readonly callMs: number
  readonly ackMs: number
  readonly what: string
}

interface SeenVersion {
  readonly version: Version
  readonly atMs: number
}

/** What rounding, scheduling and the fill behind a load may add to any bound. */
const SLACK_MS = 30
/** Remembered of each key. */
const MAX_PROMISES = 32

export class Checks {
  readonly #parts: ChecksParts
  readonly #promised = new Map<string, Promised[]>()
  readonly #tombstones = new Map<string, SeenVersion[]>()
  /** By client, node and key: versions of which the node has said that it has them, or something newer. */
  readonly #taken = new Map<string, SeenVersion[]>()
  readonly #touchedAtMs = new Map<string, number>()
  /** By client and key: values that it had of another than the first owner, which may have missed what that one has. */
  readonly #elsewhere = new Map<string, Set<number | undefined>>()
  /** By value, without a store: when a read that the first owner or a quorum had answered first returned it. */
  readonly #firstSeenMs = new Map<number, number>()
  readonly #updates = new Map<number, { readonly id: number; readonly callMs: number }>()
  /** Reads and writes that were judged. */
  judged = 0

  constructor(parts: ChecksParts) {
    this.#parts = parts
  }

  /** A change leaves a client for a node. */
  sent(client: string, change: Change): void {
    if (change.op !== 'put') return
    const version = versionOf(change.bytes)
    const id = valueIdOf(change.bytes)
    if (id !== undefined) this.#parts.truth.stamped(id, version)
    else if (kindOf(change.bytes) === 'tombstone') {
      const name = `${client} ${change.key}`
      const list = this.#tombstones.get(name) ?? []
      this.#tombstones.set(name, list)
      list.push({ version, atMs: this.#parts.nowMs() })
      if (list.length > 4 * MAX_PROMISES) list.shift()
    }
  }

  /** What a client came to know of a change. */
  told(client: string, node: string, change: Change, status: Status): void {
    if (change.op !== 'put' || (status.state !== 'applied' && status.state !== 'refused')) return
    const name = `${client} ${node} ${change.key}`
    const list = this.#taken.get(name) ?? []
    this.#taken.set(name, list)
    list.push({ version: versionOf(change.bytes), atMs: this.#parts.nowMs() })
    if (list.length > MAX_PROMISES) list.shift()
  }

  /** A node has answered a read of a key with a near cache. */
  brought(client: string, node: string, key: string, bytes: Uint8Array | undefined): void {
    if (this.#parts.ownersOf(key)[0]!.id === node) return
    const name = `${client} ${key}`
    const ids = this.#elsewhere.get(name) ?? new Set()
    this.#elsewhere.set(name, ids.add(bytes === undefined ? undefined : valueIdOf(bytes)))
  }

  committed(key: string, value: Value | undefined, version: Version, ordered: boolean): void {
    const before = this.#parts.truth.commit(key, value?.id, version)
    // The same row again, at a higher version than an absence that hid it.
    if (value !== undefined && value.id === before.id) return
    if (ordered && value?.from !== undefined && value.from !== (before.id ?? null)) {
      this.#violate('lost update', key, `${name(value.id)} was made from ${name(value.from)} and took the place of ${name(before.id)}`)
    }
  }

  read(seen: SeenRead): void {
    this.judged++
    if (seen.order === 'writers') this.#readOfWriters(seen)
    else this.#readOfStore(seen)
  }

  acknowledged(write: SeenWrite): void {
    this.judged++
    const { order, key, value, callMs } = write
    if (order !== 'writers' && !this.#isSaved(write)) {
      this.#violate('unsaved', key, `${value === undefined ? 'a delete' : name(value.id)} was acknowledged, and the store does not have it`)
      return
    }
    const position = order === 'rows' ? this.#rowOf(write) : order === 'writers' ? this.#versionOf(write) : undefined
    if (position === undefined) return
    if (order === 'writers') this.#checkQuorum(write, position as Version)
    if (order === 'writers' && value?.from !== undefined && value.from !== null) this.#checkUpdate(write, value.from)
    const version = order === 'rows' ? this.#parts.truth.states(key)[position as number]!.version : (position as Version)
    const took = this.#tookIt(write, version)
    if (took.size === 0) return
    const promised = this.#promised.get(key) ?? []
    this.#promised.set(key, promised)
    const what = `${write.client}'s ${value === undefined ? 'delete' : `write of ${name(value.id)}`}`
    promised.push({ position, took, callMs, ackMs: this.#parts.nowMs(), what })
    if (promised.length > MAX_PROMISES) promised.shift()
  }

  /** What lies under a key may be kept for a TTL from now. */
  touched(key: string): void {
    this.#touchedAtMs.set(key, this.#parts.nowMs())
  }

  /** A session's read, after its write was acknowledged. */
  sessionRead(client: string, key: string, written: Value, value: Value | undefined): void {
    this.judged++
    const { truth } = this.#parts
    const state = truth.stateOf(key, value?.id)
    const least = truth.stateOf(key, written.id)
    if (state === undefined) this.#violate('phantom', key, `${client} read ${name(value?.id)}, which the row never was`)
    else if (least !== undefined && state.index < least.index)
      this.#violate('session', key, `${client} read ${name(state.id)} in a session that has written ${name(written.id)} after it`)
  }

  /** A call is over. @param boundMs what it may take; undefined where only the number of its tries is bounded */
  ended(key: string, what: string, callMs: number, boundMs: number | undefined, error: unknown): void {
    const tookMs = this.#parts.nowMs() - callMs
    if (boundMs !== undefined && tookMs > boundMs + this.#parts.bounds.pausedMs() + SLACK_MS) {
      this.#violate('late', key, `${what} took ${tookMs.toFixed(1)} ms, and may take ${boundMs}`)
    }
    if (error === undefined) return
    const isOurs = error instanceof RingtailError && error.code !== 'CONFIGURATION'
    if (!isOurs) this.#violate('wrong error', key, `${what}: ${error instanceof Error ? error.stack : String(error)}`)
  }

  /** How long after it was overtaken a value may be read, whatever was lost, ms. */
  get longestMs(): number {
    const { ttlMs, graceMs, loadMs, skewMs, pausedMs } = this.#parts.bounds
    return ttlMs + graceMs + loadMs + skewMs() + pausedMs() + SLACK_MS
  }

  #readOfStore(seen: SeenRead): void {
    const { key, value, callMs, outcome } = seen
    const { truth, bounds } = this.#parts
    const state = truth.stateOf(key, value?.id)
    if (state === undefined || (value !== undefined && value.key !== key)) {
      this.#violate('phantom', key, `${seen.client} read ${name(value?.id)}, which the row never was`)
      return
    }
    const oldMs = callMs - state.untilMs
    const said = `${seen.client} read ${name(state.id)} (${outcome ?? 'many'} from ${seen.node ?? '?'}), overtaken ${oldMs.toFixed(1)} ms before`
    if (seen.anew === true) {
      if (oldMs > 0) this.#violate('old refresh', key, said)
    } else if (outcome === 'miss') {
      if (oldMs > bounds.loadMs + bounds.callMs + bounds.pausedMs() + SLACK_MS) this.#violate('old load', key, said)
    } else if (oldMs > this.longestMs) this.#violate('outlived', key, `${said}; at most ${this.longestMs.toFixed(1)} ms are promised`)
    if (seen.order === 'rows') this.#checkPromised(seen, state.index, said)
  }

  #readOfWriters(seen: SeenRead): void {
    const { key, value, callMs } = seen
    if (value === undefined) return
    const made = this.#parts.truth.made(value.id)
    if (made === undefined || made.key !== key || value.key !== key) {
      this.#violate('phantom', key, `${seen.client} read ${name(value.id)}, which was never written here`)
      return
    }
    const ageMs = callMs - Math.max(made.atMs, this.#touchedAtMs.get(key) ?? 0)
    const said = `${seen.client} read ${name(value.id)} (${seen.outcome ?? 'many'} from ${seen.node ?? '?'}), made ${ageMs.toFixed(1)} ms before`
    if (ageMs > this.longestMs) this.#violate('outlived', key, `${said}; at most ${this.longestMs.toFixed(1)} ms are promised`)
    if (made.highest !== undefined) this.#checkPromised(seen, made.highest, said)
    const isSure = seen.node !== undefined && (seen.quorum || seen.node === this.#parts.ownersOf(key)[0]!.id)
    if (isSure && !this.#firstSeenMs.has(value.id)) this.#firstSeenMs.set(value.id, this.#parts.nowMs())
  }

  /** Who answered has what was acknowledged before the call, or something newer. */
  #checkPromised(seen: SeenRead, position: number | Version, said: string): void {
    const { key, node, outcome, quorum, callMs } = seen
    const promised = this.#promised.get(key)
    if (promised === undefined) return
    const owners = this.#parts.ownersOf(key)
    const isNear = seen.near && node === undefined && (outcome === 'hit' || outcome === 'negative')
    if (!isNear && node === undefined) return
    if (isNear && this.#elsewhere.get(`${seen.client} ${key}`)?.has(seen.value?.id)) return
    const first = owners[0]!.id
    const asked = quorum ? owners : owners.filter(({ id }) => id === (isNear ? first : node))
    const lostAtMs = Math.max(...asked.map(({ record }) => record.lostAtMs(key)))
    const firstSeenMs = (seen.order === 'writers' && this.#firstSeenMs.get(seen.value!.id)) || Number.POSITIVE_INFINITY
    const isPromised = ({ took, ackMs, ...each }: Promised): boolean => {
      // Made again after it had been seen, it has the higher version, and is the older write all the same.
      if (each.position <= position && firstSeenMs >= each.callMs) return false
      if (ackMs > callMs || lostAtMs >= each.callMs) return false
      const byQuorum = took.size > owners.length / 2
      if (!isNear) return quorum ? byQuorum : took.has(node!)
      return took.has(first) && byQuorum && ackMs + this.#parts.unheardMs(seen.client, key, each.callMs) <= callMs
    }
    const broken = promised.find(isPromised)
    if (broken === undefined) return
    this.#violate(
      broken.position <= position ? 'came back' : 'overtaken',
      key,
      `${said}; but ${broken.what} was acknowledged ${(callMs - broken.ackMs).toFixed(1)} ms before the call`,
    )
  }

  /** The owners that said they have this version, or something newer, since the call. */
  #tookIt({ client, key, callMs }: SeenWrite, version: Version): ReadonlySet<string> {
    const took = this.#parts.ownersOf(key).filter(({ id }) => {
      const taken = this.#taken.get(`${client} ${id} ${key}`) ?? []
      return taken.some((each) => each.version >= version && each.atMs >= callMs)
    })
    return new Set(took.map(({ id }) => id))
  }

  #isSaved(write: SeenWrite): boolean {
    const states = this.#parts.truth.states(write.key)
    return states.some((state) => state.id === write.value?.id && (write.value !== undefined || state.untilMs > write.callMs))
  }

  /** The place of a write among the row's states; of a delete, that of the first which it may have been. */
  #rowOf({ key, value, callMs }: SeenWrite): number | undefined {
    const states = this.#parts.truth.states(key)
    // A row that was made newer than an absence comes twice.
    if (value !== undefined) return this.#parts.truth.stateOf(key, value.id)?.index
    return states.find((state) => state.id === undefined && state.sinceMs >= callMs)?.index
  }

  #versionOf({ client, key, value, callMs }: SeenWrite): Version | undefined {
    if (value !== undefined) return this.#parts.truth.made(value.id)?.lowest
    let lowest: Version | undefined
    for (const { version, atMs } of this.#tombstones.get(`${client} ${key}`) ?? []) {
      if (atMs >= callMs && (lowest === undefined || version < lowest)) lowest = version
    }
    return lowest
  }

  #checkQuorum({ key, callMs, value, all }: SeenWrite, version: Version): void {
    const owners = this.#parts.ownersOf(key)
    const holding = owners.filter(({ record }) => (record.versionOf(key) ?? -1n) >= version || record.lostAtMs(key) >= callMs)
    if (all ? holding.length === owners.length : holding.length > owners.length / 2) return
    const what = value === undefined ? 'a delete' : name(value.id)
    this.#violate('unacknowledged', key, `${what} was acknowledged, and ${holding.length} of ${owners.length} owners hold it`)
  }

  /** Of one value only one update may be made, unless it was lost and came back. */
  #checkUpdate({ key, value, callMs }: SeenWrite, from: number): void {
    const other = this.#updates.get(from)
    this.#updates.set(from, { id: value!.id, callMs })
    if (other === undefined) return
    const lostAtMs = this.#parts.ownersOf(key)[0]!.record.lostAtMs(key)
    if (lostAtMs >= Math.min(other.callMs, callMs)) return
    this.#violate('lost update', key, `${name(other.id)} and ${name(value!.id)} were both made from ${name(from)}, and both acknowledged`)
  }

  #violate(rule: Rule, key: string, what: string): void {
    this.#parts.violated({ rule, atMs: this.#parts.nowMs(), key, what })
  }
}

/** The number of the value in an entry; undefined where there is none. */
export function valueIdOf(bytes: Uint8Array): number | undefined {
  if (!isEnvelope(bytes) || kindOf(bytes) !== 'value') return undefined
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1', payloadStartOf(bytes), payloadEndOf(bytes))
  const match = /"id":(\d+)/.exec(text)
  return match === null ? undefined : Number(match[1])
}

export function name(id: number | null | undefined): string {
  return id === null || id === undefined ? 'nothing' : `value ${id}`
}
