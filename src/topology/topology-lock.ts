/**
 * One operator at a time: a record on the nodes that says who changes the ring, and until when it may be taken from them.
 *
 * It is taken on more than half of the nodes of both rings, or of the one that stays where a change is ended, one node after the other in an
 * order that all operators have, so that of two that begin together the second meets the first at the first node and leaves no trace. Whoever
 * loses gives back what it took. It is renewed while its holder works, and ends by itself when the holder dies; a holder that cannot renew
 * it must stop.
 */
import type { Clock } from '../clock.ts'
import { TopologyError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import type { TopologyRecord } from './topology.ts'
import { isMajorityOfAll } from './topology-record.ts'

const LOCK_NAME = 'topology-lock'
const CALL = { timeoutMs: 250 }
/** How long a lock lasts that is not renewed, ms. */
export const LOCK_MS = 10_000

interface Lock {
  /** Of the change that it is for: of two operators of one name. */
  readonly id: string
  readonly by: string
  readonly untilMs: number
}

export class TopologyLock {
  readonly #id: string
  readonly #by: string
  readonly #clock: Clock
  readonly #nodes: () => readonly CacheNode[]
  /** What this lock has written on each node. */
  readonly #held = new Map<string, Uint8Array>()
  #taking: Promise<void> = Promise.resolve()

  /** @param nodes those of both rings, in any order */
  constructor(id: string, by: string, clock: Clock, nodes: () => readonly CacheNode[]) {
    this.#id = id
    this.#by = by
    this.#clock = clock
    this.#nodes = nodes
  }

  /**
   * Takes it, or renews it.
   * @throws TopologyError `busy` where another has it, `unreachable` where too few nodes answer; then it is given back everywhere
   */
  take(of: Pick<TopologyRecord, 'members' | 'change'>): Promise<void> {
    // One after the other: a renewal must not take what is just being taken for another's.
    const taking = this.#taking.then(() => this.#take(of))
    this.#taking = taking.catch(() => {})
    return taking
  }

  /** Never rejects: where it cannot be given back it ends by itself. */
  async giveBack(): Promise<void> {
    await this.#taking
    await this.#free()
  }

  async #take(of: Pick<TopologyRecord, 'members' | 'change'>): Promise<void> {
    const next: Lock = { id: this.#id, by: this.#by, untilMs: this.#clock.now() + LOCK_MS }
    const taken: string[] = []
    for (const node of this.#nodes().toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      const other = await this.#takeOn(node, next)
      if (other === 'failed') continue
      if (other === undefined) taken.push(node.id)
      else {
        await this.#free()
        const message = `the ring is being changed by ${other.by}: needs to wait until that is done, or ${LOCK_MS / 1_000} s after it has ended without`
        throw new TopologyError(message, 'busy', { by: other.by })
      }
    }
    if (isMajorityOfAll(taken, of)) return
    await this.#free()
    const message = `a change of the ring needs more than half of the nodes, before it and after it, but got: ${taken.length} that answer`
    throw new TopologyError(message, 'unreachable')
  }

  async #free(): Promise<void> {
    const free = encode({ id: '', by: '', untilMs: 0 })
    await Promise.all(
      this.#nodes().map(async ({ id, control }) => {
        const held = this.#held.get(id)
        this.#held.delete(id)
        if (held !== undefined) await control.compareAndSet(LOCK_NAME, held, free, CALL).catch(() => false)
      }),
    )
  }

  /** @returns who else has it; undefined: it is ours now */
  async #takeOn({ id, control }: CacheNode, next: Lock): Promise<Lock | undefined | 'failed'> {
    try {
      const held = await control.get(LOCK_NAME, CALL)
      const lock = decode(held)
      if (lock !== undefined && lock.id !== this.#id && lock.untilMs > this.#clock.now()) return lock
      const bytes = encode(next)
      if (!(await control.compareAndSet(LOCK_NAME, held, bytes, CALL))) {
        const other = decode(await control.get(LOCK_NAME, CALL))
        return other === undefined || other.id === this.#id ? 'failed' : other
      }
      this.#held.set(id, bytes)
      return undefined
    } catch {
      return 'failed'
    }
  }
}

function encode(lock: Lock): Uint8Array {
  return Buffer.from(JSON.stringify(lock))
}

function decode(bytes: Uint8Array | undefined): Lock | undefined {
  if (bytes === undefined) return undefined
  try {
    const { id, by, untilMs } = JSON.parse(Buffer.from(bytes).toString()) as Lock
    return typeof id === 'string' && id !== '' && typeof by === 'string' && Number.isFinite(untilMs) ? { id, by, untilMs } : undefined
  } catch {
    return undefined
  }
}
