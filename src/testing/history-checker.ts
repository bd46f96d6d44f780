/**
 * Was the cache right? Given what was done to it and seen of it, by whom and when, finds what cannot have been.
 *
 * A read may return what was current at some moment from `bound` before its call to its return, and nothing else: not a value that nobody
 * wrote, nor one that something acknowledged had overtaken by then. Writes are ordered by version where it is known, else by real time. Both
 * are only used where they prove an order, so a report is a proof; what overlaps, or has an unknown outcome, gets the benefit of the doubt.
 *
 * The promise: a history of a correct register with these bounds is never accused; each violation names the operations that prove it. A
 * million operations take a few seconds and some 200 MB. In the spirit of Lu et al., "Existential Consistency" (SOSP 2015), which checks
 * registers of unique values in this way, and of Jepsen's Elle (Kingsbury and Alvaro, VLDB 2020).
 */
import { fraction, knownOptions, wholeNumber } from '../options.ts'
import { AbsenceRule } from './absence-rule.ts'
import { History, KIND, NONE, type Operation, OUTCOME } from './history.ts'
import { HistoryFacts } from './history-facts.ts'
import { msText, shown, type Violation, type ViolationCounts, Violations } from './history-violations.ts'
import { checkUpdates } from './update-rule.ts'
import { WriteOrder } from './write-order.ts'

export interface HistoryCheck {
  /** Whether there is a store behind the cache: then only a delete explains that nothing is found. Default false: a cache may forget. */
  readonly store?: boolean | undefined
  /** Whether a value that was found missing must not be found again. False where forgetting is not common to all who answer. Default true. */
  readonly absenceIsFinal?: boolean | undefined
  /** How old what a read saw may be, ms, by its level; the operation's own bound comes first. Default 0. */
  readonly bounds?: Readonly<Record<string, number>> | undefined
  /** The same for reads that were marked stale. Default: any age. */
  readonly markedBoundMs?: number | undefined
  /**
   * By how much two writes must be apart in real time to prove an order, ms: the resolution of the clock that the cache orders them by, where
   * their versions are not recorded. Default 0.
   */
  readonly orderSlackMs?: number | undefined
  /** How many violations are kept; all are counted. Default 100. */
  readonly maxViolations?: number | undefined
}

export interface HistoryReport {
  readonly operations: number
  readonly keys: number
  readonly counts: ViolationCounts
  /** The first of them. */
  readonly violations: readonly Violation[]
}

const NAMES = ['store', 'absenceIsFinal', 'bounds', 'markedBoundMs', 'orderSlackMs', 'maxViolations']
const MAX_VIOLATIONS = 100

/** @throws ConfigurationError for an option that cannot be, or for two writes of one value */
export function checkHistory(given: History | Iterable<Operation>, options: HistoryCheck = {}): HistoryReport {
  knownOptions(options, 'checkHistory', NAMES)
  const history = given instanceof History ? given : History.of(given)
  const rules: Rules = {
    store: options.store ?? false,
    absenceIsFinal: options.absenceIsFinal ?? true,
    bounds: options.bounds ?? {},
    markedBoundMs: fraction(options.markedBoundMs ?? Number.POSITIVE_INFINITY, 'checkHistory: markedBoundMs', 0, Number.POSITIVE_INFINITY),
    orderSlackMs: fraction(options.orderSlackMs ?? 0, 'checkHistory: orderSlackMs', 0, Number.MAX_SAFE_INTEGER),
  }
  const violations = new Violations(wholeNumber(options.maxViolations ?? MAX_VIOLATIONS, 'checkHistory: maxViolations', 0))
  const facts = new HistoryFacts(history)
  for (let key = 0; key < history.keys.size; key++) new KeyCheck(facts, key, rules, violations).run()
  return { operations: history.size, keys: history.keys.size, counts: violations.counts, violations: violations.kept }
}

interface Rules {
  readonly store: boolean
  readonly absenceIsFinal: boolean
  readonly bounds: Readonly<Record<string, number>>
  readonly markedBoundMs: number
  readonly orderSlackMs: number
}

/** The operations of one key, judged. */
class KeyCheck {
  readonly #facts: HistoryFacts
  readonly #rules: Rules
  readonly #violations: Violations
  readonly #writes: number[] = []
  readonly #deletes: number[] = []
  readonly #updates: number[] = []
  /** Successful, of a value and of nothing. */
  readonly #sightings: number[] = []
  readonly #absences: number[] = []
  readonly #order: WriteOrder
  /** By session: what it wrote, and an order of that. */
  readonly #sessions: ReadonlyMap<number, WriteOrder>

  constructor(facts: HistoryFacts, key: number, rules: Rules, violations: Violations) {
    this.#facts = facts
    this.#rules = rules
    this.#violations = violations
    const { columns } = facts.history
    const written = new Map<number, number[]>()
    for (let nth = facts.starts[key]!; nth < facts.starts[key + 1]!; nth++) {
      const at = facts.byKey[nth]!
      if (columns.kind[at] === KIND.read) {
        if (columns.outcome[at] === OUTCOME.ok) (columns.value[at] === NONE ? this.#absences : this.#sightings).push(at)
        continue
      }
      if (columns.outcome[at] === OUTCOME.failed) continue
      this.#writes.push(at)
      if (columns.kind[at] === KIND.delete) this.#deletes.push(at)
      if (columns.kind[at] === KIND.update) this.#updates.push(at)
      const session = columns.session[at]!
      if (session === NONE) continue
      const own = written.get(session)
      if (own === undefined) written.set(session, [at])
      else own.push(at)
    }
    this.#order = new WriteOrder(facts, this.#writes, rules.orderSlackMs)
    this.#sessions = new Map(Array.from(written, ([session, writes]) => [session, new WriteOrder(facts, writes, rules.orderSlackMs)]))
  }

  run(): void {
    const absences = new AbsenceRule(this.#facts, this.#absences, this.#deletes, (read) => this.#boundOf(read))
    for (const read of this.#sightings) {
      if (this.#isPhantom(read)) continue
      const accused = this.#isOvertaken(read) || this.#missesOwnWrite(read)
      if (!accused && this.#rules.absenceIsFinal) this.#seenAgain(read, absences)
    }
    if (this.#rules.store) this.#findVanished(absences)
    checkUpdates(this.#facts, this.#updates, this.#writes, this.#deletes, this.#order, {
      ...this.#rules,
      boundOf: (update) => this.#boundOf(update),
      isPhantom: (update) => this.#isPhantom(update),
      violations: this.#violations,
    })
  }

  #boundOf(at: number): number {
    const { columns, levels } = this.#facts.history
    if (columns.markedStale[at] === 1) return this.#rules.markedBoundMs
    const own = columns.bound[at]!
    if (!Number.isNaN(own)) return own
    const level = levels.nameOf(columns.level[at]!)
    return (level === undefined ? undefined : this.#rules.bounds[level]) ?? 0
  }

  /** Of a read, or of what an update was derived from. */
  #isPhantom(at: number): boolean {
    const { history, writerOf } = this.#facts
    const { columns } = history
    const isRead = columns.kind[at] === KIND.read
    const value = isRead ? columns.value[at]! : columns.from[at]!
    if (value === NONE) return false
    const writer = writerOf[value]!
    const reason =
      writer === NONE
        ? 'nobody ever wrote it'
        : columns.key[writer] !== columns.key[at]
          ? `it was written to '${history.keys.nameOf(columns.key[writer]!)}'`
          : columns.outcome[writer] === OUTCOME.failed
            ? 'its write had failed'
            : columns.call[writer]! > columns.return[at]!
              ? `it was written ${msText(columns.call[writer]! - columns.return[at]!)} later`
              : undefined
    if (reason === undefined) return false
    const involved = writer === NONE ? [at] : [at, writer]
    const what = isRead ? 'a read returned' : 'an update was derived from'
    this.#violations.foundIn(history, 'phantom', involved, () => `${what} ${shown(history.values.nameOf(value))}, but ${reason}`)
    return true
  }

  #isOvertaken(read: number): boolean {
    const { columns } = this.#facts.history
    const boundMs = this.#boundOf(read)
    const source = this.#facts.writerOf[columns.value[read]!]!
    const newer = this.#order.overtaking(source, columns.call[read]! - boundMs)
    if (newer === NONE) return false
    const kind = columns.kind[newer] === KIND.delete ? 'resurrected' : 'stale'
    this.#violations.foundIn(this.#facts.history, kind, [read, source, newer], (seen, _, then) => overtakenText(seen, then!, boundMs))
    return true
  }

  #missesOwnWrite(read: number): boolean {
    const { columns, sessions } = this.#facts.history
    const session = columns.session[read]!
    if (columns.markedStale[read] === 1) return false
    const source = this.#facts.writerOf[columns.value[read]!]!
    const newer = this.#sessions.get(session)?.overtaking(source, columns.call[read]!) ?? NONE
    if (newer === NONE) return false
    this.#violations.foundIn(
      this.#facts.history,
      'session',
      [read, source, newer],
      (seen, _, then) =>
        `session ${sessions.nameOf(session)} read ${shown(seen.value)}, though its own ${then!.kind} of something newer had been acknowledged ${msText(seen.callMs - then!.returnMs)} before`,
    )
    return true
  }

  #seenAgain(read: number, absences: AbsenceRule): void {
    const { columns } = this.#facts.history
    const source = this.#facts.writerOf[columns.value[read]!]!
    const absence = absences.between(source, columns.call[read]! - this.#boundOf(read))
    if (absence === NONE) return
    this.#violations.foundIn(
      this.#facts.history,
      'resurrected',
      [read, source, absence],
      (seen, _, gone) =>
        `a read returned ${shown(seen.value)} again, ${msText(seen.callMs - gone!.returnMs)} after another had found nothing and without a new write`,
    )
  }

  #findVanished(absences: AbsenceRule): void {
    const { history } = this.#facts
    const { columns } = history
    const fromNothing = this.#updates.filter((update) => columns.from[update] === NONE && columns.outcome[update] === OUTCOME.ok)
    for (const [at, write] of absences.unexplained(this.#order, fromNothing)) {
      this.#violations.foundIn(
        history,
        columns.kind[at] === KIND.read ? 'vanished' : 'lost-update',
        [at, write],
        (seen, lost) =>
          `${seen.kind === 'read' ? 'a read' : 'an update'} found nothing, but a ${lost!.kind} (${shown(lost!.value)}) had been acknowledged ${msText(seen.callMs - lost!.returnMs)} before and no delete explains it`,
      )
    }
    for (const read of this.#absences) {
      const own = this.#sessions.get(history.columns.session[read]!)?.acknowledgedBefore(history.columns.call[read]!) ?? NONE
      if (own === NONE || this.#boundOf(read) === 0 || history.columns.markedStale[read] === 1 || history.columns.kind[own] === KIND.delete)
        continue
      if (absences.isExplained(read, this.#sessions.get(history.columns.session[read]!)!, 0)) continue
      const session = history.sessions.nameOf(history.columns.session[read]!)
      this.#violations.foundIn(
        history,
        'session',
        [read, own],
        () => `session ${session} found nothing where it had written, and no delete came after it`,
      )
    }
  }
}

function overtakenText(seen: Operation, then: Operation, boundMs: number): string {
  const what = then.kind === 'delete' ? 'a delete' : `${shown(then.value)}`
  return `a read returned ${shown(seen.value)}, but ${what} had been acknowledged ${msText(seen.callMs - then.returnMs)} before it was called; its bound is ${msText(boundMs)}`
}
