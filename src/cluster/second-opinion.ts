/**
 * What other owners of a key answer, in place of one that takes long.
 *
 * An owner that is not the first may be behind. But a write that a quorum acknowledged lies on more than half of the owners, so that of the
 * others than the first at least one has it among any more than half of *them*: as many are asked, all must answer, and the newest counts.
 * It does not count while it is so young that its write may still be on its way to the first owner, nor where it is nothing at all, nor where
 * it has no version to go by and the answers differ: then the first owner's answer is waited for. So a reader that is answered by others
 * sees every write that it would have seen at the first owner.
 */
import type { CacheNode, NodeCall, Receiver } from '../node/node.ts'
import { type Answer, compareAnswers, holdingOf, newestOf } from './newest.ts'
import { isAvoided } from './owner-order.ts'
import { youngForMs } from './unsettled.ts'
import type { WalkContext } from './walk-context.ts'

/** Of `others` owners, how many have among them one of each quorum of all. */
function quorumOfOthers(others: number): number {
  return Math.floor(others / 2) + 1
}

/**
 * Whom to ask in place of an owner.
 * @param asked the positions of those asked already, that owner's among them, a bit each
 * @param single whether one will do: where the level lets any owner answer, and where the first owner is not the one in whose place they are asked
 * @returns none when too few are worth asking
 */
export function othersToAsk(owners: readonly CacheNode[], asked: number, single: boolean): readonly CacheNode[] {
  const needed = single ? 1 : quorumOfOthers(owners.length - 1)
  const others: CacheNode[] = []
  for (let other = 0; other < owners.length && others.length < needed; other++) {
    if ((asked & (1 << other)) === 0 && !isAvoided(owners[other]!)) others.push(owners[other]!)
  }
  return owners.length > 1 && others.length === needed ? others : []
}

/** @returns what counts as the answer, if anything does @param single see `othersToAsk` */
export function judgeOpinion(answers: readonly Answer[], single: boolean, nowMs: number): Answer | undefined {
  const newest = newestOf(answers)
  const holding = holdingOf(newest.bytes)
  if (holding === 'entry') return single || youngForMs(newest.bytes!, nowMs) === 0 ? newest : undefined
  const agree = holding === 'foreign' && answers.every((answer) => isSame(answer.bytes, newest.bytes!))
  return agree ? newest : undefined
}

function isSame(bytes: Uint8Array | undefined, others: Uint8Array): boolean {
  return bytes !== undefined && Buffer.compare(bytes, others) === 0
}

export class SecondOpinion implements Receiver {
  readonly #key: string
  readonly #others: readonly CacheNode[]
  readonly #single: boolean
  readonly #context: WalkContext
  readonly #beganMs: number
  readonly #answers: Answer[] = []
  readonly #heard: (answer: Answer | undefined) => void
  #failed = false

  /** @param heard called once */
  constructor(
    key: string,
    others: readonly CacheNode[],
    single: boolean,
    context: WalkContext,
    heard: (answer: Answer | undefined) => void,
  ) {
    this.#key = key
    this.#others = others
    this.#single = single
    this.#context = context
    this.#beganMs = context.clock.now()
    this.#heard = heard
  }

  ask(call: NodeCall): void {
    for (const other of this.#others) other.get(this.#key, this, call)
  }

  answered(bytes: Uint8Array | undefined, { id }: CacheNode): void {
    this.#answers.push({ node: this.#others.find((other) => other.id === id)!, bytes })
    if (this.#answers.length < this.#others.length) return
    const { clock, repair } = this.#context
    this.#heard(judgeOpinion(this.#answers, this.#single, clock.now()))
    if (this.#answers.some((answer) => compareAnswers(answer, this.#answers[0]!) !== 0)) {
      repair.mend(this.#key, this.#answers, newestOf(this.#answers), this.#beganMs)
    }
  }

  failed(_error: unknown, { id }: CacheNode): void {
    this.#context.nodeFailed(id)
    if (this.#failed) return
    this.#failed = true
    this.#heard(undefined)
  }
}
