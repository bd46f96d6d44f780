/**
 * Looks at a second owner behind one read in so many.
 *
 * Readers ask one owner of each key, so the copies on the others grow cold: a node that evicts what is not read would throw out just what is
 * needed when the first owner fails, and what a replica missed would be found only then. A probe asks another owner, in turn, after
 * the caller has its answer, and has the difference mended. It never changes an answer, and nobody waits for it.
 */
import type { CacheNode, NodeCall, Receiver } from '../node/node.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Fetched } from './cluster.ts'
import { type Answer, newestOf } from './newest.ts'
import { isAvoided } from './owner-order.ts'
import type { ReadRepair } from './read-repair.ts'

/** Probes under way at once, at most. */
const LIMIT = 256

export class Probe implements QueueTeller {
  readonly #every: number
  readonly #repair: ReadRepair
  readonly #call: NodeCall
  readonly #nodeFailed: (node: string) => void
  #reads = 0
  #turn = 0
  #underWay = 0

  /** @param every 1: behind each read */
  constructor(every: number, repair: ReadRepair, call: NodeCall, nodeFailed: (node: string) => void) {
    this.#every = every
    this.#repair = repair
    this.#call = call
    this.#nodeFailed = nodeFailed
  }

  tellQueues(tell: TellQueue): void {
    tell('probes', this.#underWay, LIMIT)
  }

  /** Counts one read. @returns whether it is one to probe behind */
  isDue(): boolean {
    if (++this.#reads < this.#every) return false
    this.#reads = 0
    return true
  }

  /**
   * @param owners of the key, at least two
   * @param fetched what one of them answered, asked no earlier than `readMs`, ms since the epoch
   */
  ask(key: string, owners: readonly CacheNode[], fetched: Fetched, readMs: number): void {
    const { node, bytes } = fetched
    if (node === undefined || this.#underWay >= LIMIT) return
    const other = this.#next(owners, node)
    if (isAvoided(other)) return
    const end = (): void => void this.#underWay--
    const first: Answer = { node, bytes }
    const receiver: Receiver = {
      answered: (held) => {
        end()
        const answers = [first, { node: other, bytes: held }]
        this.#repair.mend(key, answers, newestOf(answers), readMs)
      },
      failed: () => {
        end()
        this.#nodeFailed(other.id)
      },
    }
    this.#underWay++
    other.get(key, receiver, this.#call)
  }

  #next(owners: readonly CacheNode[], asked: CacheNode): CacheNode {
    const nth = this.#turn++ % (owners.length - 1)
    const askedAt = owners.indexOf(asked)
    return owners[nth < askedAt ? nth : nth + 1]!
  }
}
