/**
 * Carries entries to those who are to own them.
 *
 * A copy is the newest that the owners hold, so many of them that what was acknowledged is among it, put with its version, its kind and what is
 * left of its life. The nodes judge it like any put, so that what is written meanwhile is never overwritten; it counts as issued when it was
 * read, so that a delete made since then, whose tombstone the new owner has, refuses it. Only what a first owner holds is carried: what it has lost
 * or was never given, nobody is served today.
 *
 * Once reads go by the new ring, those who are no owners any more hand on what they have and owners lack: what a process wrote that the new
 * owner missed. There the caution of read repair applies, for a tombstone may be gone.
 */
import type { Clock } from '../clock.ts'
import type { PutChange } from '../cluster/cluster.ts'
import { copyTtlMs } from '../cluster/copy-life.ts'
import { type Answer, compareAnswers, holdingOf, newestOf } from '../cluster/newest.ts'
import { inAskingOrder } from '../cluster/owner-order.ts'
import { youngForMs } from '../cluster/unsettled.ts'
import { asError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import type { CopyCounts, KeyPlacing } from './topology.ts'
import type { WalkedNodes } from './walked-nodes.ts'

/** Of one batch on one node, ms: off the hot path, and larger than what is on it. */
const CALL = { timeoutMs: 1_000 }
/** Keys whose copying failed are tried again so often, at most, after a pause, ms; of more keys than this the others stay failed. */
const RETRIES = 4
const RETRY_AFTER_MS = 500
const MOST_RETRIED = 100_000

export interface CopyParts {
  readonly walked: WalkedNodes
  readonly clock: Clock
  readonly from: KeyPlacing
  readonly to: KeyPlacing
}

/** One key with the nodes that lack it. */
interface Due {
  readonly key: string
  readonly owners: readonly CacheNode[]
  readonly targets: readonly CacheNode[]
}

interface Put {
  readonly change: PutChange
  readonly due: Due
}

export class EntryCopies {
  readonly #parts: CopyParts
  readonly #counts = { copied: 0, skipped: 0, failed: 0, bytes: 0 }
  #failed: Due[] = []
  #lastFailure: string | undefined

  constructor(parts: CopyParts) {
    this.#parts = parts
  }

  get counts(): CopyCounts {
    return { ...this.#counts }
  }

  /** Why the last copy failed that did. */
  get lastFailure(): string | undefined {
    return this.#lastFailure
  }

  /** What lies on these nodes goes to those of its new owners that are no old ones. @throws the walk's signal's reason */
  async copyFrom(nodes: readonly CacheNode[]): Promise<void> {
    const { walked, from } = this.#parts
    const gone = await walked.walk(nodes, from.prefix, (node, keys) => this.#copy(this.#dueAt(node, keys, [])))
    // What only the dead would have been asked for is asked of the others.
    const alive = nodes.filter((node) => !gone.includes(node))
    if (gone.length > 0) await walked.walk(alive, from.prefix, (node, keys) => this.#copy(this.#dueAt(node, keys, gone)))
    for (let tries = 0; this.#failed.length > 0 && tries < RETRIES; tries++) {
      await walked.pause(RETRY_AFTER_MS)
      const again = this.#failed
      this.#failed = []
      this.#counts.failed -= again.reduce((sum, { targets }) => sum + targets.length, 0)
      for (let at = 0; at < again.length; at += 128) await this.#copy(again.slice(at, at + 128))
    }
  }

  /** What lies on nodes that are no owners any more and is newer than what owners hold goes to those. @throws the walk's signal's reason */
  async handOnFrom(nodes: readonly CacheNode[]): Promise<void> {
    const { walked, from, to, clock } = this.#parts
    await walked.walk(nodes, from.prefix, async (node, keys) => {
      const readMs = clock.now()
      const due: Due[] = []
      for (const key of keys) {
        const owners = to.ownersOf(key)
        if (owners !== undefined && !owners.includes(node) && from.ownersOf(key)?.includes(node) === true)
          due.push({ key, owners: [node], targets: owners })
      }
      const [own, held] = await Promise.all([answersOf(due, ({ owners }) => owners), answersOf(due, ({ targets }) => targets)])
      const puts = new Map<CacheNode, Put[]>()
      for (const [at, each] of due.entries()) {
        const kept = own[at]![0]
        if (kept === undefined || holdingOf(kept.bytes) !== 'entry') continue
        for (const answer of held[at]!) if (compareAnswers(kept, answer) > 0) this.#add(puts, each, kept, answer.bytes, answer.node, readMs)
      }
      await this.#send(puts)
    })
  }

  /** Each key is looked after by the first of its owners that looks alive. @param gone owners that are not, whose keys alone are due */
  #dueAt(node: CacheNode, keys: readonly string[], gone: readonly CacheNode[]): Due[] {
    const { from, to } = this.#parts
    const due: Due[] = []
    for (const key of keys) {
      const owners = from.ownersOf(key)
      if (owners === undefined) continue
      const order = inAskingOrder(owners)
      const alive = gone.length === 0 ? order : order.filter((owner) => !gone.includes(owner))
      if (alive[0] !== node || (gone.length > 0 && order[0] === node)) continue
      const targets = to.ownersOf(key)!.filter((owner) => !owners.includes(owner))
      if (targets.length > 0) due.push({ key, owners, targets })
    }
    return due
  }

  async #copy(due: readonly Due[]): Promise<void> {
    if (due.length === 0) return
    const { clock } = this.#parts
    const readMs = clock.now()
    const answers = await answersOf(due, ({ owners }) => owners)
    const puts = new Map<CacheNode, Put[]>()
    for (const [at, each] of due.entries()) {
      const found = answers[at]!
      const newest = found.length * 2 > each.owners.length || found.length === aliveOf(each.owners) ? this.#chosen(each, found) : undefined
      if (newest === undefined) this.#fail(each, each.targets, `of ${each.owners.length} owners ${found.length} answered`)
      else if (holdingOf(newest.bytes) !== 'entry') this.#counts.skipped += each.targets.length
      else for (const target of each.targets) this.#add(puts, each, newest, newest.bytes, target, readMs)
    }
    await this.#send(puts)
  }

  /** A write of this moment is its writer's to bring, who may have to make it once more. */
  #chosen({ owners }: Due, found: readonly Answer[]): Answer | undefined {
    if (found.length === 0) return undefined
    const newest = newestOf(found)
    if (newest.node === owners[0] || holdingOf(newest.bytes) !== 'entry') return newest
    const ofFirst = found.find(({ node }) => node === owners[0])
    return ofFirst !== undefined && youngForMs(newest.bytes!, this.#parts.clock.now()) > 0 ? ofFirst : newest
  }

  /** @param held of the target, or of who is served now */
  #add(puts: Map<CacheNode, Put[]>, due: Due, from: Answer, held: Uint8Array | undefined, target: CacheNode, issuedMs: number): void {
    const ttlMs = copyTtlMs(from.bytes!, held, this.#parts.clock.now())
    if (ttlMs === undefined) {
      this.#counts.skipped++
      return
    }
    // A node in this process may keep the very bytes it is given, and a read's may be a window on a large buffer.
    const change: PutChange = { op: 'put', key: due.key, bytes: Buffer.from(from.bytes!), ttlMs, issuedMs }
    const put = { change, due }
    const known = puts.get(target)
    if (known === undefined) puts.set(target, [put])
    else known.push(put)
  }

  async #send(puts: ReadonlyMap<CacheNode, readonly Put[]>): Promise<void> {
    await Promise.all(
      Array.from(puts, async ([target, ofTarget]) => {
        const statuses = await target.apply(
          ofTarget.map(({ change }) => change),
          CALL,
        )
        for (const [at, status] of statuses.entries()) {
          const { state } = status
          const { change, due } = ofTarget[at]!
          if (state === 'applied') {
            this.#counts.copied++
            this.#counts.bytes += change.bytes.length
          } else if (state === 'refused') this.#counts.skipped++
          else this.#fail(due, [target], asError('error' in status && status.error).message)
        }
      }),
    )
  }

  #fail(due: Due, targets: readonly CacheNode[], reason: string): void {
    this.#lastFailure = reason
    this.#counts.failed += targets.length
    if (this.#failed.length < MOST_RETRIED) this.#failed.push({ ...due, targets })
  }
}

/** In the order of `due`, what those nodes hold that answer. Never rejects. */
async function answersOf(due: readonly Due[], nodesOf: (due: Due) => readonly CacheNode[]): Promise<Answer[][]> {
  const positions = new Map<CacheNode, number[]>()
  for (const [position, each] of due.entries()) {
    for (const node of nodesOf(each)) {
      const own = positions.get(node)
      if (own === undefined) positions.set(node, [position])
      else own.push(position)
    }
  }
  const answers = due.map((): Answer[] => [])
  await Promise.all(
    Array.from(positions, async ([node, own]) => {
      const keys = own.map((position) => due[position]!.key)
      const found = await node.getMany(keys, CALL).catch(() => undefined)
      if (found !== undefined) for (const [at, position] of own.entries()) answers[position]!.push({ node, bytes: found[at] })
    }),
  )
  for (const [at, each] of due.entries()) {
    const order = nodesOf(each)
    answers[at]!.sort((a, b) => order.indexOf(a.node) - order.indexOf(b.node))
  }
  return answers
}

function aliveOf(owners: readonly CacheNode[]): number {
  return owners.filter(({ standing }) => standing?.avoided !== true).length
}
