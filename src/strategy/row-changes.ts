/**
 * What becomes of the copies of rows that somebody else has changed, as a follower of the database's log tells of it.
 *
 * The log is heard of late and may be heard of twice, so nothing here may undo what is newer. Where every change of a row raises its
 * version, a change to version v leaves a tombstone just below v: what was before is out, the row as it is now may come in or stay. Where
 * versions are not known to rise (a table that other SQL writes, without a trigger), what lies there is looked at on all owners and goes,
 * whichever it is; the next read loads. A row that was made again may be of a lower version than the removal before it: an absence that
 * hides it goes as well. Where the store does not order at all, the copies are erased as by a delete of now. A write that the store does not have
 * yet (pending) is none of this: it stays, and the store judges when it gets it.
 */
import type { Stamp, Version } from '../entry.ts'
import { ConfigurationError, EncodeError, UnavailableError } from '../errors.ts'
import type { Found, KeyspaceCall, Put, Removal, Replicated } from '../keyspaces/keyspace.ts'
import { versionAt } from '../version-clock.ts'
import type { Loads } from './loads.ts'
import type { RowChange, Settled, StrategyParts } from './strategy.ts'
import { settledOf } from './write-outcome.ts'

/** Clocks of a fleet differ by less as a rule, ms: what a process ahead of this one has loaded is older than the change all the same. */
const APART_MS = 25

/** What was committed longer ago, ms, may have been followed by another change: its value is not cached, for it may be old by now. */
const LATE_MS = 5_000

export interface RowChangesParts<V> {
  readonly strategy: StrategyParts<V>
  readonly loads: Loads<V>
  /** Whether entries carry the rows' own versions. */
  readonly ordered: boolean
  /** Makes rows of these keys newer than the absences that hide them. */
  readonly outrank?: ((keys: readonly string[]) => Promise<void>) | undefined
}

/** One change with what is known of it so far. */
interface Pending<V> {
  readonly change: RowChange<V>
  /** What is of this version or older is out of date; undefined: whatever lies there is. */
  readonly upTo: Version | undefined
  outcome: Replicated | undefined
}

export class RowChanges<V> {
  readonly #parts: RowChangesParts<V>

  constructor(parts: RowChangesParts<V>) {
    this.#parts = parts
  }

  /** One result a change, in order; never rejects but for a misconfigured validation. Each key once in a call. */
  async apply(changes: readonly RowChange<V>[], call?: KeyspaceCall): Promise<Settled<void>[]> {
    const { loads, ordered, strategy } = this.#parts
    for (const { key } of changes) loads.forget(key)
    const pending = changes.map((change): Pending<V> => ({ change, upTo: outdatedBy(change), outcome: undefined }))
    if (ordered && strategy.keyspace.enveloped) await this.#applyOrdered(pending, call)
    else await this.#each(pending, (keys) => strategy.keyspace.eraseMany(keys, call))
    for (const { key } of changes) loads.forget(key)
    return pending.map(({ outcome }) => (isKeyless(outcome!) ? { value: undefined } : settledOf(outcome!)))
  }

  async #applyOrdered(pending: readonly Pending<V>[], call: KeyspaceCall | undefined): Promise<void> {
    const known = pending.filter(({ upTo }) => upTo !== undefined)
    const sinceMs = this.#parts.strategy.keyspace.nowMs() - LATE_MS
    const puts = known.filter(({ change }) => change.row !== undefined && change.committedMs > sinceMs)
    await Promise.all([
      this.#remove(
        known.filter((item) => !puts.includes(item)),
        call,
      ),
      this.#put(puts, call).then(() =>
        this.#remove(
          puts.filter(({ outcome }) => isUnfit(outcome!)),
          call,
        ),
      ),
    ])
    // Of the very version that is out of date, but dated later than this process's clock says it is now.
    const stayed = known.filter(({ outcome, upTo }) => outcome!.state === 'refused' && outcome!.version <= upTo!)
    await this.#removeWhole([...pending.filter(({ upTo }) => upTo === undefined), ...stayed], call)
    await this.#unhide(
      known.filter(({ change, outcome }) => change.op === 'insert' && outcome!.state === 'refused'),
      call,
    )
  }

  async #remove(pending: readonly Pending<V>[], call: KeyspaceCall | undefined): Promise<void> {
    if (pending.length === 0) return
    const { keyspace } = this.#parts.strategy
    const begunMs = keyspace.nowMs() + APART_MS
    const removals = pending.map(({ change, upTo }): Removal => ({ key: change.key, version: upTo!, begunMs }))
    settle(pending, await keyspace.removeMany(removals, call))
  }

  async #put(pending: readonly Pending<V>[], call: KeyspaceCall | undefined): Promise<void> {
    if (pending.length === 0) return
    const { keyspace } = this.#parts.strategy
    const nowMs = keyspace.nowMs()
    const puts = pending.map(({ change }): Put<V> => {
      // Of when it was committed, so that a group's delete since then is a delete of it too.
      const begunMs = Math.min(nowMs, change.committedMs)
      return { key: change.key, value: change.row!.value, kind: 'value', version: change.version!, begunMs, loadCostMs: 0 }
    })
    settle(pending, await keyspace.putMany(puts, call))
  }

  /** Whatever lies on any owner goes, and what is not newer than the row. */
  async #removeWhole(pending: readonly Pending<V>[], call: KeyspaceCall | undefined): Promise<void> {
    if (pending.length === 0) return
    const { keyspace } = this.#parts.strategy
    const nowMs = keyspace.nowMs()
    await this.#each(pending, async (keys, items) => {
      const found = await keyspace.findMany(keys, { read: 'all' })
      for (const [at, item] of items.entries()) if (isPending(found[at]!)) item.outcome = APPLIED
      const reached = items.flatMap((item, at) =>
        found[at]!.state === 'unreachable' || isPending(found[at]!) ? [] : [{ item, found: found[at]! }],
      )
      const removals = reached.map(({ item: { change }, found: { seen } }): Removal => {
        const floor = change.version ?? (change.rising && change.op === 'delete' ? versionAt(change.committedMs + 1) : 0n)
        return seen.version >= floor
          ? { key: change.key, version: seen.version, begunMs: laterThan(seen, nowMs) }
          : { key: change.key, version: floor, begunMs: nowMs }
      })
      settle(
        reached.map(({ item }) => item),
        await keyspace.removeMany(removals, call),
      )
      return items.map(({ outcome }, at) => (found[at]!.state === 'unreachable' ? unreachable(found[at]!) : outcome!))
    })
  }

  /** A remembered absence may be of a higher version than the row that was made after it. */
  async #unhide(pending: readonly Pending<V>[], call: KeyspaceCall | undefined): Promise<void> {
    if (pending.length === 0) return
    const { strategy, outrank } = this.#parts
    const { keyspace } = strategy
    const keys = pending.map(({ change }) => change.key)
    const found = await keyspace.findMany(keys, { read: 'all' })
    const hiding = found.flatMap(({ state, negative, seen, version }, at) => {
      if (isPending(found[at]!)) return []
      if (state !== 'unreachable' && (version > 0n || seen.version < pending[at]!.change.version!)) return []
      return [{ item: pending[at]!, found: found[at]!, negative, seen }]
    })
    if (hiding.length === 0) return
    const nowMs = keyspace.nowMs()
    const outcomes = await keyspace.removeMany(
      hiding.map(({ item, seen }) => ({ key: item.change.key, version: seen.version, begunMs: laterThan(seen, nowMs) })),
      call,
    )
    for (const [at, { item, found }] of hiding.entries()) item.outcome = found.state === 'unreachable' ? unreachable(found) : outcomes[at]!
    // In the store the row is; what is still missing is that its copy may be kept.
    await outrank?.(hiding.map(({ item }) => item.change.key)).catch(() => {})
  }

  async #each(
    pending: readonly Pending<V>[],
    work: (keys: readonly string[], pending: readonly Pending<V>[]) => Promise<Replicated[]>,
  ): Promise<void> {
    const { keyspace } = this.#parts.strategy
    const askable: Pending<V>[] = []
    for (const item of pending) {
      try {
        keyspace.wireKey(item.change.key)
        askable.push(item)
      } catch (error) {
        if (!(error instanceof ConfigurationError)) throw error
        item.outcome = { state: 'unacknowledged', error }
      }
    }
    if (askable.length === 0) return
    settle(
      askable,
      await work(
        askable.map(({ change }) => change.key),
        askable,
      ),
    )
  }
}

/** What is certainly older than the change, where versions tell. */
function outdatedBy({ rising, version, op }: RowChange<unknown>): Version | undefined {
  if (!rising || version === undefined || version === 0n) return undefined
  return op === 'delete' ? version : version - 1n
}

function settle<V>(pending: readonly Pending<V>[], outcomes: readonly Replicated[]): void {
  for (const [at, item] of pending.entries()) item.outcome = outcomes[at]!
}

const APPLIED: Replicated = Object.freeze({ state: 'applied' })

function isPending({ entry }: Found<unknown>): boolean {
  return entry?.kind === 'pending'
}

/** A time not before now by which a change comes after what was seen. */
function laterThan({ begun }: Stamp, nowMs: number): number {
  const aheadMs = (begun - (nowMs % 2 ** 32)) | 0
  return nowMs + Math.max(0, aheadMs + 1)
}

function unreachable({ failure }: Found<unknown>): Replicated {
  return { state: 'unacknowledged', error: failure ?? new UnavailableError('no owner of the key answered') }
}

/** The value cannot be cached; that what lies there is old is true all the same. */
function isUnfit(outcome: Replicated): boolean {
  return outcome.state === 'unacknowledged' && (outcome.error instanceof EncodeError || outcome.error instanceof ConfigurationError)
}

/** Under what cannot be a key of the cache nothing lies. */
function isKeyless(outcome: Replicated): boolean {
  return outcome.state === 'unacknowledged' && outcome.error instanceof ConfigurationError
}
