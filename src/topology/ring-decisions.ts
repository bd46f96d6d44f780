/**
 * Decides which record follows the last: one for each epoch, whatever calls and answers are lost on the way and whoever was held up.
 *
 * More than half of the nodes whose ring is read by a record decide what follows it, and everybody goes by what lies on them, not by what its writer
 * was told. So each epoch is a round of Paxos (Lamport, "Paxos Made Simple"), the nodes being its acceptors by compare-and-set. Each try claims them first:
 * those that grant it take nothing any more of those who looked before, be they late or held up. Then, a record that may have been decided,
 * because those that hold it and those that granted nothing are more than half, is written everywhere, as it is; where there is none, nothing
 * was decided nor can be, and the operator's own is.
 *
 * The lock keeps two operators from doing this in turns for ever, and from the work of one change twice; that two records of one epoch are never
 * decided does not hang on it.
 */
import type { Clock, Random } from '../clock.ts'
import { TopologyError } from '../errors.ts'
import { claimRecords, proposeRecord } from './record-board.ts'
import type { Member, TopologyNodes, TopologyRecord } from './topology.ts'
import type { TopologyLock } from './topology-lock.ts'
import { decidedRecord, everyMember, type HeldRecord, isMajority, isSameStep, possiblyDecided } from './topology-record.ts'
import { AHEAD_MS, type TopologyWatch } from './topology-watch.ts'

/** For how long a decision is tried while too few nodes answer, and after which pause again, ms. Who was held up looks once more. */
const TRY_FOR_MS = 5_000
const LEAST_TRIES = 2
const TRY_AGAIN_AFTER_MS = 250

/** Of whose nodes the lock is needed. */
export type Rings = Pick<TopologyRecord, 'members' | 'change'>

export interface RingDecisionsParts {
  readonly nodes: TopologyNodes
  readonly watch: TopologyWatch
  readonly lock: TopologyLock
  /** The fleet's. */
  readonly clock: Clock
  readonly random: Random
  /** Rejects once the operation is to stop. */
  readonly pause: (ms: number) => Promise<void>
}

interface Ballot {
  readonly ballot: string
  /** On the nodes that have promised to take nothing of earlier ones. */
  readonly held: readonly HeldRecord[]
}

export class RingDecisions {
  readonly #parts: RingDecisionsParts
  #last: TopologyRecord
  #decidedMs: number
  #isUnclear = false
  #round = 0

  constructor(parts: RingDecisionsParts) {
    this.#parts = parts
    this.#last = parts.watch.latest
    this.#decidedMs = parts.clock.now()
  }

  /** What the operation goes on from. Another's decision is none of these. */
  get last(): TopologyRecord {
    return this.#last
  }

  /** When it was known that the last was decided. It may have landed long after it was written, and its own date be past. */
  get decidedMs(): number {
    return this.#decidedMs
  }

  /** Whether something was written of which it is not known whether it was decided. */
  get isUnclear(): boolean {
    return this.#isUnclear
  }

  /** Goes on from what was decided last; what another left half written is decided, unless it is certain that it was not. @throws TopologyError as `decide` */
  async clear(): Promise<void> {
    const { watch, lock } = this.#parts
    await this.#trying(async () => {
      await lock.take(ringRead(watch.latest))
      const claimed = await this.#claim()
      const from = watch.latest
      if (!isMajority(idsOf(claimed.held), from.members)) return false
      const left = possiblyDecided(from, claimed.held)
      if (left !== undefined) {
        await this.#propose(from, left, claimed)
        return false
      }
      this.#goOnFrom(from)
      return true
    })
  }

  /**
   * @param of the lock is needed on more than half of their nodes
   * @throws TopologyError `busy` where another has the lock or has decided something else, `unreachable` where too few nodes answer for seconds;
   * the reason of `pause`
   */
  async decide(of: Rings, follows: (from: TopologyRecord, beginsMs: number) => TopologyRecord): Promise<void> {
    const { watch, lock, clock } = this.#parts
    const from = this.#last
    await this.#trying(async () => {
      await lock.take(of)
      const claimed = await this.#claim()
      const own = follows(from, clock.now() + AHEAD_MS)
      if (watch.latest.epoch === from.epoch) {
        if (!isMajority(idsOf(claimed.held), from.members)) return false
        this.#isUnclear = true
        if (!(await this.#propose(from, possiblyDecided(from, claimed.held) ?? own, claimed))) return false
      }
      this.#isUnclear = false
      if (!isSameStep(watch.latest, own)) throw overtaken(watch.latest)
      this.#goOnFrom(watch.latest)
      return true
    })
  }

  #goOnFrom(record: TopologyRecord): void {
    this.#last = record
    this.#isUnclear = false
    this.#decidedMs = this.#parts.clock.now()
  }

  /** Hears of what is found to be decided. */
  async #claim(): Promise<Ballot> {
    const { nodes, watch, clock, random } = this.#parts
    await watch.look()
    this.#round = Math.max(this.#round + 1, clock.now())
    const ballot = `${String(this.#round).padStart(16, '0')}.${Math.floor(random() * 2 ** 48).toString(36)}`
    const { held, latest } = await claimRecords(nodes.all, ballot)
    // Somebody's clock may be ahead.
    this.#round = Math.max(this.#round, Number.parseInt(latest, 10) || 0)
    const decided = decidedRecord(watch.latest, held)
    if (decided !== undefined) watch.hear(decided)
    return { ballot, held }
  }

  /** @returns whether it is decided now */
  async #propose(from: TopologyRecord, record: TopologyRecord, { ballot, held }: Ballot): Promise<boolean> {
    const { nodes, watch } = this.#parts
    const named = [...everyMember(from), ...everyMember(record)]
    const taking = nodes.all.filter(({ id }) => named.some((member) => member.id === id))
    const balloted = { ...record, ballot }
    const isDecided = isMajority(await proposeRecord(taking, balloted, held), from.members)
    if (isDecided) watch.hear(balloted)
    return isDecided
  }

  async #trying(attempt: () => Promise<boolean>): Promise<void> {
    const { clock, pause } = this.#parts
    const untilMs = clock.monotonic() + TRY_FOR_MS
    for (let tries = 1; ; tries++) {
      await pause(0)
      let failure = new TopologyError(
        'a change of the ring needs more than half of the nodes that are read to take it, but fewer did',
        'unreachable',
      )
      try {
        if (await attempt()) return
      } catch (thrown) {
        if (!(thrown instanceof TopologyError && thrown.reason === 'unreachable')) throw thrown
        failure = thrown
      }
      if (tries >= LEAST_TRIES && clock.monotonic() >= untilMs) throw failure
      await pause(TRY_AGAIN_AFTER_MS)
    }
  }
}

/** As if there were no other. */
export function ringRead({ members }: { readonly members: readonly Member[] }): Rings {
  return { members, change: undefined }
}

function idsOf(held: readonly HeldRecord[]): readonly string[] {
  return held.map(({ node }) => node)
}

function overtaken({ change }: TopologyRecord): TopologyError {
  const message = 'the ring was changed by another process while this one was held up: needs to be looked at before it is changed again'
  return new TopologyError(message, 'busy', { by: change?.by })
}
