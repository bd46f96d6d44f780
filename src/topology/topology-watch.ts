/**
 * What this process knows of the topology: it looks at the nodes' records twice a second and puts into effect what was decided.
 *
 * A decision names the moment from which it holds, some time ahead, so that all processes, having heard of it by then, turn at once. One that
 * hears of it later turns at once too. It goes by what more than half of the nodes hold, never by an earlier epoch after a later one; and a
 * node that lost its record, having restarted empty, is given it again by whoever notices.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'
import { readRecords, writeRecord } from './record-board.ts'
import type { TopologyNodes, TopologyRecord } from './topology.ts'
import {
  decidedRecord,
  decodeRecord,
  everyMember,
  firstRecord,
  type HeldRecord,
  isMajority,
  isPossiblyPast,
  isSameRecord,
  isTakenLater,
  memberOf,
  phaseOf,
} from './topology-record.ts'

/** Between two looks, ms; by chance a fifth more or less. */
const LOOK_EVERY_MS = 500
/** Where each look finds other nodes to ask, so many follow one another; then the next has its time. */
const LOOKS_AT_ONCE = 8
/** From a decision to when it holds, ms: three looks, of which two may fail. */
export const AHEAD_MS = 2_000
/**
 * A look that sees no decision says that none takes effect for so long after it was sent, ms: what is written on the nodes after it was answered
 * was dated when its writing began, up to two calls before.
 */
const KNOWN_MS = AHEAD_MS - 500
/** After that the calls have ended that were under way, or turned late, ms. */
export const SETTLED_AFTER_MS = 500
/** So long around the moment at which the first owners of keys are others, nobody decides a change of those keys, ms: clocks differ by less. */
const HOLDS_MS = 60
/** By so long after one has heard of a decision, others have too: two looks, ms. */
const HEARD_BY_ALL_MS = 1_000
/** Nodes that nobody reads or writes any more are let go of after this, ms. */
const LEAVE_AFTER_MS = 3_000

export interface TopologyWatchParts {
  readonly nodes: TopologyNodes
  /** The fleet's. */
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
}

export class TopologyWatch {
  readonly #parts: TopologyWatchParts
  #current: TopologyRecord
  /** Decided, and not before its time. */
  #latest: TopologyRecord
  #heardMs = 0
  #looking: Timer | undefined
  #turning: Timer | undefined
  #leaving: Timer | undefined
  #keepers = 0
  #started = false
  #stopped = false

  constructor(parts: TopologyWatchParts) {
    this.#parts = parts
    this.#current = firstRecord(parts.nodes.all.map(memberOf))
    this.#latest = this.#current
  }

  /** What holds now. */
  get current(): TopologyRecord {
    return this.#current
  }

  /** The last that was decided: what holds now, or is about to. */
  get latest(): TopologyRecord {
    return this.#latest
  }

  /** Looks, and goes on looking until `stop`. Never rejects. */
  async start(): Promise<void> {
    this.#started = true
    this.#parts.nodes.knowledge.watch({ clock: this.#parts.clock, look: () => this.look() })
    await this.look()
    this.#lookAgain()
  }

  /** Leaves no timer, and sets none from now on. */
  stop(): void {
    this.#started = false
    this.#parts.nodes.knowledge.unwatch()
    this.#stopped = true
    for (const timer of [this.#looking, this.#turning, this.#leaving]) timer?.cancel()
  }

  /** Never rejects. */
  async look(): Promise<void> {
    for (let looks = 0; looks < LOOKS_AT_ONCE && (await this.#lookOnce()); looks++);
  }

  /** @returns whether others than those that were asked have something to say. Never rejects. */
  async #lookOnce(): Promise<boolean> {
    const { nodes, clock } = this.#parts
    const sentMs = clock.now()
    const caches = nodes.lookAtCaches(this.#keepers > 0)
    const known = new Set(nodes.all)
    const held = await readRecords(nodes.all)
    if (this.#stopped) return false
    this.#admitUnknown(held)
    const found = nodes.all.filter((node) => !known.has(node))
    const decided = decidedRecord(this.#latest, held)
    if (decided !== undefined) this.hear(decided)
    this.#takeLaterBallot(held)
    const isHeard = isMajority(
      held.map(({ node }) => node),
      this.#latest.members,
    )
    const isKnown = isHeard && found.length === 0 && !isPossiblyPast(this.#latest, held)
    if (isKnown && this.#started) nodes.knowledge.heard(sentMs + KNOWN_MS)
    await this.#restore(held)
    await caches
    // What is closed by now is not to be opened again.
    if (this.#stopped) return false
    // Those that decide may be none of those that this process knew; and those that a record names may know of something later still.
    await Promise.all(found.map((node) => node.connect().catch(() => {})))
    return found.length > 0 || (decided !== undefined && !isHeard)
  }

  /** It was decided. */
  hear(record: TopologyRecord): void {
    if (this.#stopped) return
    // Was decided twice, each time as the same: all come to hold it by the later ballot.
    if (isTakenLater(record, this.#latest)) this.#latest = record
    if (record.epoch <= this.#latest.epoch) return
    const { nodes, clock } = this.#parts
    this.#latest = record
    this.#heardMs = clock.monotonic()
    nodes.admit(everyMember(record))
    this.#turning?.cancel()
    const waitMs = record.beginsMs - clock.now()
    if (waitMs <= 0) this.#turn()
    else this.#turning = clock.after(waitMs, () => this.#turn())
  }

  /** Nodes that are no members any more stay until the answer is called: with those that were admitted for nothing, which go at once. */
  keepNodes(): (unused: readonly string[]) => void {
    this.#keepers++
    return (unused) => {
      this.#keepers--
      if (this.#keepers === 0) this.#drop(unused)
      this.#leave()
    }
  }

  #lookAgain(): void {
    if (!this.#started) return
    const { clock, random } = this.#parts
    this.#looking = clock.after(LOOK_EVERY_MS * (0.8 + 0.4 * random()), () => void this.look().then(() => this.#lookAgain()))
  }

  #turn(): void {
    const { nodes, clock, emit } = this.#parts
    const record = this.#latest
    const { epoch, members, beginsMs } = record
    const phase = phaseOf(record)
    this.#current = record
    const nowMs = clock.monotonic()
    // Of what was decided late some hear after it has begun, and turn as they hear of it.
    const holdsUntilMs = Math.max(nowMs + beginsMs + HOLDS_MS - clock.now(), this.#heardMs + HEARD_BY_ALL_MS)
    nodes.turn(record, phase === 'switched' ? Math.max(nowMs, holdsUntilMs) : nowMs)
    emit('topology:changed', { epoch, phase, members: members.map(({ id }) => id) })
    this.#leave()
  }

  /** No ring was ever over them, so nothing is under way there. */
  #drop(unused: readonly string[]): void {
    const { nodes } = this.#parts
    const named = [...everyMember(this.#current), ...everyMember(this.#latest)]
    const isNamed = (id: string) => named.some((member) => member.id === id)
    const staying = nodes.all.filter(({ id }) => !unused.includes(id) || isNamed(id))
    if (staying.length < nodes.all.length) nodes.retireAllBut(staying.map(memberOf))
  }

  #leave(): void {
    this.#leaving?.cancel()
    if (this.#stopped || phaseOf(this.#current) !== 'settled' || this.#keepers > 0) return
    this.#leaving = this.#parts.clock.after(LEAVE_AFTER_MS, () => {
      if (this.#current.epoch === this.#latest.epoch && this.#keepers === 0) this.#parts.nodes.retireAllBut(this.#current.members)
    })
  }

  /** A process that has slept through several changes may know few of the nodes that it has to ask now. */
  #admitUnknown(held: readonly HeldRecord[]): void {
    const { nodes, clock } = this.#parts
    for (const { bytes } of held) {
      const record = decodeRecord(bytes)
      const isLate = record !== undefined && record.epoch > this.#latest.epoch && record.beginsMs <= clock.now()
      if (isLate) nodes.admit(everyMember(record))
    }
  }

  /** Even one node is enough: after a decision, later ballots are for the same. */
  #takeLaterBallot(held: readonly HeldRecord[]): void {
    for (const { bytes } of held) {
      const record = decodeRecord(bytes)
      if (record !== undefined && isTakenLater(record, this.#latest)) this.hear(record)
    }
  }

  async #restore(held: readonly HeldRecord[]): Promise<void> {
    const latest = this.#latest
    if (latest.epoch === 0) return
    const lacking = held.filter(({ node, bytes }) => {
      if (!everyMember(latest).some(({ id }) => id === node)) return false
      const record = decodeRecord(bytes)
      return record === undefined || record.epoch < latest.epoch || (record.epoch === latest.epoch && !isSameRecord(record, latest))
    })
    if (lacking.length === 0) return
    await writeRecord(
      this.#parts.nodes.all.filter(({ id }) => lacking.some(({ node }) => node === id)),
      latest,
    )
  }
}
