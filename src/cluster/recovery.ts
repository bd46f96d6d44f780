/**
 * What is done for a node that missed changes, by the one process that has its lock: what hints name is copied to it, or it is emptied.
 *
 * A copy is put like any other change, so that what is newer on the node stays. Where the keeper of a hint has nothing of the key any more, or
 * bytes that no version orders, an older entry on the node is dropped: a miss is never wrong. Nothing here is waited for without a
 * bound, and whoever is interrupted leaves the rest of the hints for the next.
 */
import type { Clock } from '../clock.ts'
import { versionOf } from '../codec/envelope.ts'
import type { CacheNode, Change, NodeCall, Status } from '../node/node.ts'
import { copyTtlMs } from './copy-life.ts'
import { type Hint, listHints, saysAnything, takeHintsAway } from './hint-records.ts'
import { compareAnswers, holdingOf } from './newest.ts'
import { isNote, takeLock } from './node-record.ts'

/** Behind everybody, and worth waiting for where all are slow: what is not copied is read of nobody. */
const CALL: NodeCall = { timeoutMs: 1_000 }
const KEYS_AT_ONCE = 250
const DROPS_AT_ONCE = 500
/** For how long a lock is taken, ms: who holds it takes it again as it goes on. */
const LOCKED_FOR_MS = 3_000
const VERSION_MS_SHIFT = 19n

export interface RecoveryParts {
  readonly clock: Clock
  /** Names this process. */
  readonly by: string
}

export interface Copied {
  /** Entries that the node took, and those it needed no more. */
  readonly copied: number
  readonly dropped: number
  /** Whether no hint is left that could be seen to. */
  readonly complete: boolean
}

export class Recovery {
  readonly #parts: RecoveryParts

  constructor(parts: RecoveryParts) {
    this.#parts = parts
  }

  /** @returns whether this process may see to the node; false also where it does not answer */
  async mayGoOn(node: CacheNode): Promise<boolean> {
    return takeLock(node, this.#parts.by, this.#parts.clock.now(), LOCKED_FOR_MS, CALL).catch(() => false)
  }

  /** Copies to the node what the hints name that one keeper has for it. Rejects where the keeper does not answer. */
  async copyHinted(node: CacheNode, keeper: CacheNode): Promise<Copied> {
    let [copied, dropped] = [0, 0]
    for (;;) {
      const hints = (await listHints(keeper, node.id, KEYS_AT_ONCE, CALL)).filter((hint) => !saysAnything(hint))
      if (hints.length === 0) return { copied, dropped, complete: true }
      if (!(await this.mayGoOn(node))) return { copied, dropped, complete: false }
      const changes = await this.#changesFor(node, keeper, hints)
      const statuses = await node.apply(
        changes.flatMap((change) => change ?? []),
        CALL,
      )
      const done = doneOf(hints, changes, statuses)
      copied += statuses.filter((status, nth) => status.state === 'applied' && isPut(changes, nth)).length
      dropped += statuses.filter((status, nth) => status.state === 'applied' && !isPut(changes, nth)).length
      if (done.length > 0) await takeHintsAway(keeper, node.id, done, CALL)
      if (done.length < hints.length) return { copied, dropped, complete: false }
    }
  }

  /** Drops everything of the tier's that the node holds. @returns how much that was; undefined: another process sees to it, or it does not answer */
  async empty(node: CacheNode): Promise<number | undefined> {
    let dropped = 0
    try {
      for await (const keys of node.scan('rt:')) {
        const old = keys.filter((key) => !isNote(key))
        for (let from = 0; from < old.length; from += DROPS_AT_ONCE) {
          const drops = old.slice(from, from + DROPS_AT_ONCE).map((key): Change => ({ op: 'drop', key }))
          const statuses = await node.apply(drops, CALL)
          if (statuses.some(({ state }) => state !== 'applied')) return undefined
          dropped += drops.length
        }
        if (!(await this.mayGoOn(node))) return undefined
      }
      return dropped
    } catch {
      return undefined
    }
  }

  /** One a hint; undefined: the node needs nothing. */
  async #changesFor(node: CacheNode, keeper: CacheNode, hints: readonly Hint[]): Promise<(Change | undefined)[]> {
    const keys = hints.map(({ key }) => key)
    const nowMs = this.#parts.clock.now()
    const [kept, held] = await Promise.all([keeper.getMany(keys, CALL), node.getMany(keys, CALL)])
    return hints.map((hint, nth) => changeFor(hint, { node: keeper, bytes: kept[nth] }, { node, bytes: held[nth] }, nowMs))
  }
}

type Held = Parameters<typeof compareAnswers>[0]

function changeFor({ key, leftUs }: Hint, kept: Held, held: Held, nowMs: number): Change | undefined {
  if (held.bytes !== undefined && holdingOf(kept.bytes) !== 'entry') {
    const isOlder = holdingOf(held.bytes) !== 'entry' || Number(versionOf(held.bytes) >> VERSION_MS_SHIFT) * 1_000 <= leftUs
    return isOlder ? { op: 'drop', key } : undefined
  }
  if (kept.bytes === undefined || holdingOf(kept.bytes) !== 'entry' || compareAnswers(kept, held) <= 0) return undefined
  const ttlMs = copyTtlMs(kept.bytes, held.bytes, nowMs)
  if (ttlMs === undefined) return held.bytes === undefined ? undefined : { op: 'drop', key }
  // A node in this process may keep the very bytes it is given.
  return { op: 'put', key, bytes: Buffer.from(kept.bytes), ttlMs, issuedMs: nowMs }
}

/** The hints whose keys the node needs nothing of any more. */
function doneOf(hints: readonly Hint[], changes: readonly (Change | undefined)[], statuses: readonly Status[]): Hint[] {
  let nth = 0
  return hints.filter((_, at) => {
    if (changes[at] === undefined) return true
    const { state } = statuses[nth++]!
    return state === 'applied' || state === 'refused'
  })
}

function isPut(changes: readonly (Change | undefined)[], nth: number): boolean {
  return changes.filter((change) => change !== undefined)[nth]!.op === 'put'
}
