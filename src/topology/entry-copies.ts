/**
 * Carries entries to those who are to own them.
 *
 * A copy is the newest that the owners hold, so many of them that what was acknowledged is among it, put with its version, its kind and what is
 * left of its life. The nodes judge it like any put, so that what is written meanwhile is never overwritten; it counts as issued when it was
 * read, so that a delete made since then, whose tombstone the new owner has, refuses it. Only what a first owner holds is carried: what it has lost
 * or was never given, nobody is served today.
 *
 * A node that was alive when the change began and cannot be walked ends it: what lies there is not known, so that nobody can say that it is where
 * it is to be. One that was dead already has its keys looked after by their other owners.
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
import { asError, TopologyError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import type { CopyCounts, KeyPlacing } from './topology.ts'
import type { WalkedNodes } from './walked-nodes.ts'

/** Of one batch on one node, ms: off the hot path, and larger than what is on it. */
const CALL = { timeoutMs: 1_000 }
/** Keys whose copying failed are tried again so often, at most, after a pause, ms; of more keys than this the others stay failed. */
const RETRIES = 4
const RETRY_AFTER_MS = 500
const MOST_RETRIED = 100_000
/** A part of all copies may fail, as single entries may: beyond it the ring is not changed. */
export const MOST_FAILED = 0.01

export interface CopyParts {
  readonly walked: WalkedNodes
  readonly clock: Clock
  readonly from: KeyPlacing
  readonly to: KeyPlacing
  /** Nodes that were dead before the change began: nothing is expected of them. */
  readonly dead: readonly CacheNode[]
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
  /** Copies that were found where they are to be. */
  #inPlace = 0
  #lastFailure: string | undefined

  constructor(parts: CopyParts) {
    this.#parts = parts
  }

  get counts(): CopyCounts {
    return { ...this.#counts }
  }

  /**
   * What lies on these nodes goes to those of its new owners that are no old ones.
   * @throws TopologyError `unreachable` where entries may be left behind @throws the walk's signal's reason
   */
  async copyFrom(nodes: readonly CacheNode[]): Promise<void> {
    const { walked, from } = this.#parts
    const gone = await walked.walk(nodes, from.prefix, (node, keys) => this.#copy(this.#dueAt(node, keys, [])))
    this.#needOthersFor(gone)
    if (gone.length > 0) {
      // What only the dead would have been asked for is asked of the others.
      const alive = nodes.filter((node) => !gone.includes(node))
      const unwalked = await walked.walk(alive, from.prefix, (node, keys) => this.#copy(this.#dueAt(node, keys, gone)))
      this.#needOthersFor([...gone, ...unwalked])
    }
    await this.#tryAgain((due) => this.#copy(due))
  }

  /**
   * What lies on nodes that are no owners any more and is newer than what owners hold goes to those.
   * @throws TopologyError `unreachable` where entries may be left behind @throws the walk's signal's reason
   */
  async handOnFrom(nodes: readonly CacheNode[]): Promise<void> {
    const { walked, from, to } = this.#parts
    const unwalked = await walked.walk(nodes, from.prefix, (node, keys) => {
      const due: Due[] = []
      for (const key of keys) {
        const owners = to.ownersOf(key)
        if (owners !== undefined && !owners.includes(node) && from.ownersOf(key)?.includes(node) === true)
          due.push({ key, owners: [node], targets: owners })
      }
      return this.#handOn(due)
    })
    this.#needOthersFor(unwalked)
    await this.#tryAgain((due) => this.#handOn(due))
  }

  /** @param gone nodes that could not be walked @throws TopologyError unless they were dead before, and others have what they had */
  #needOthersFor(gone: readonly CacheNode[]): void {
    const { dead, from, to } = this.#parts
    const lost = gone.filter((node) => !dead.includes(node))
    if (lost.length > 0)
      throw unreachable(`needs to look through every node that was alive when the change began, but got: no end of ${named(lost)}`)
    // Of what is removed while it is dead nothing is expected, for its operator has given it up.
    const staying = gone.filter((node) => to.members.includes(node))
    if (staying.length > 0 && gone.length >= from.fewestOwners) {
      const message = `needs each key on a node that answers, but got: ${named(gone)} dead, and keys that may lie on no other`
      throw unreachable(`${message}; wait for ${named(staying)}, or remove what is not to come back in the same change`)
    }
  }

  /** @throws TopologyError where more go on failing than may */
  async #tryAgain(copy: (due: readonly Due[]) => Promise<void>): Promise<void> {
    for (let tries = 0; this.#failed.length > 0 && tries < RETRIES; tries++) {
      await this.#parts.walked.pause(RETRY_AFTER_MS)
      const again = this.#failed
      this.#failed = []
      this.#counts.failed -= again.reduce((sum, { targets }) => sum + targets.length, 0)
      for (let at = 0; at < again.length; at += 128) await copy(again.slice(at, at + 128))
    }
    const { copied, skipped, failed } = this.#counts
    const all = copied + skipped + failed + this.#inPlace
    if (failed <= all * MOST_FAILED) return
    throw unreachable(`needs all entries where they are to be, but ${failed} of ${all} copies could not be made: ${this.#lastFailure}`)
  }

  async #handOn(due: readonly Due[]): Promise<void> {
    if (due.length === 0) return
    const { clock, dead } = this.#parts
    const readMs = clock.now()
    const [own, held] = await Promise.all([answersOf(due, ({ owners }) => owners), answersOf(due, ({ targets }) => targets)])
    const puts = new Map<CacheNode, Put[]>()
    for (const [at, each] of due.entries()) {
      const kept = own[at]![0]
      if (kept === undefined) {
        this.#fail(each, each.targets, `node ${each.owners[0]!.id} did not answer`)
        continue
      }
      const isEntry = holdingOf(kept.bytes) === 'entry'
      for (const answer of held[at]!) {
        if (isEntry && compareAnswers(kept, answer) > 0) this.#add(puts, each, kept, answer.bytes, answer.node, readMs)
        else this.#inPlace++
      }
      const silent = each.targets.filter((target) => !dead.includes(target) && !held[at]!.some(({ node }) => node === target))
      if (isEntry && silent.length > 0) this.#fail(each, silent, `${named(silent)} did not answer`)
    }
    await this.#send(puts)
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

function named(nodes: readonly CacheNode[]): string {
  return nodes.map(({ id }) => `node ${id}`).join(', ')
}

function unreachable(message: string): TopologyError {
  return new TopologyError(message, 'unreachable')
}
