/**
 * Lost updates: each successful update of one key must have been built on just what it took the place of.
 *
 * Values are unique, so two successful updates from one value have lost one of them. And one that was built on a value which something
 * acknowledged had overtaken before it began, or which by version another write lies between, has lost that.
 */
import { countBelow } from './count-below.ts'
import { KIND, NONE, OUTCOME } from './history.ts'
import type { HistoryFacts } from './history-facts.ts'
import { msText, shown, type Violations } from './history-violations.ts'
import type { WriteOrder } from './write-order.ts'

export interface UpdateRules {
  readonly store: boolean
  readonly boundOf: (update: number) => number
  /** Accuses an update that was derived from what cannot have been there. */
  readonly isPhantom: (update: number) => boolean
  readonly violations: Violations
}

/** @param updates those of one key that did not fail @param writes all that change the key and did not fail, updates and deletes among them */
export function checkUpdates(
  facts: HistoryFacts,
  updates: readonly number[],
  writes: readonly number[],
  deletes: readonly number[],
  order: WriteOrder,
  rules: UpdateRules,
): void {
  const { columns } = facts.history
  const between = new Between(facts, writes, rules.store)
  const builtOn = new Map<number, number>()
  const fromNothing: number[] = []
  for (const update of updates) {
    if (!facts.hasHappened(update) || rules.isPhantom(update)) continue
    const from = columns.from[update]!
    if (from === NONE) {
      fromNothing.push(update)
      continue
    }
    const other = builtOn.get(from)
    if (other !== undefined) twice(facts, rules.violations, update, other)
    else builtOn.set(from, update)
    if (other === undefined) passedOver(facts, update, order, between, rules)
  }
  if (rules.store) createdTwice(facts, fromNothing, deletes, rules.violations)
}

function twice(facts: HistoryFacts, violations: Violations, update: number, other: number): void {
  violations.foundIn(
    facts.history,
    'lost-update',
    [update, other],
    (one) => `two updates that succeeded were derived from ${shown(one.from)}`,
  )
}

function passedOver(facts: HistoryFacts, update: number, order: WriteOrder, between: Between, rules: UpdateRules): void {
  const { columns } = facts.history
  const source = facts.writerOf[columns.from[update]!]!
  const byTime = order.overtaking(source, columns.call[update]! - rules.boundOf(update))
  const lost = byTime === NONE ? between.find(source, update) : byTime
  if (lost === NONE || lost === update) return
  rules.violations.foundIn(facts.history, 'lost-update', [update, source, lost], (one, _, gone) => {
    const how = byTime === NONE ? 'whose version lies between' : `acknowledged ${msText(one.callMs - gone!.returnMs)} before`
    return `an update was derived from ${shown(one.from)} and so passed over a ${gone!.kind} (${shown(gone!.value)}) ${how}`
  })
}

/** Two updates from nothing, with no delete that may have come between. */
function createdTwice(facts: HistoryFacts, fromNothing: readonly number[], deletes: readonly number[], violations: Violations): void {
  const { columns } = facts.history
  const sorted = fromNothing.toSorted((a, b) => columns.call[a]! - columns.call[b]!)
  const lastEnds = deletes.toSorted((a, b) => columns.call[a]! - columns.call[b]!)
  const latestEnd: number[] = []
  for (const each of lastEnds) latestEnd.push(Math.max(latestEnd.at(-1) ?? 0, facts.endMs[each]!))
  for (let nth = 1; nth < sorted.length; nth++) {
    const [first, second] = [sorted[nth - 1]!, sorted[nth]!]
    const untilMs = Math.max(facts.endMs[first]!, facts.endMs[second]!)
    const called = countBelow(lastEnds, (each) => columns.call[each]! < untilMs)
    if (called > 0 && latestEnd[called - 1]! > columns.call[first]!) continue
    violations.foundIn(
      facts.history,
      'lost-update',
      [second, first],
      () => 'two updates that succeeded found nothing, and no delete came between',
    )
  }
}

/** Which write's version lies between those of two others. */
class Between {
  readonly #facts: HistoryFacts
  readonly #byVersion: readonly number[]

  /** Without a store a plain write may be overtaken on its way, so that only updates must have been built upon. */
  constructor(facts: HistoryFacts, writes: readonly number[], store: boolean) {
    this.#facts = facts
    const { columns } = facts.history
    const counted = (write: number) => store || columns.kind[write] === KIND.update
    this.#byVersion = writes
      .filter((write) => facts.version[write] !== 0n && columns.outcome[write] === OUTCOME.ok && counted(write))
      .toSorted((a, b) => Number(facts.version[a]! - facts.version[b]!))
  }

  /** @returns NONE when there is none, or their versions are not known */
  find(lower: number, upper: number): number {
    const { version } = this.#facts
    if (version[lower] === 0n || version[upper] === 0n) return NONE
    const first = this.#byVersion[countBelow(this.#byVersion, (each) => version[each]! <= version[lower]!)]
    return first !== undefined && version[first]! < version[upper]! ? first : NONE
  }
}
