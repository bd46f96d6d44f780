/**
 * What a history is found guilty of, told so that it can be looked into: the kind, the key, the operations involved and their times.
 *
 * All are counted; only the first so many are kept, for a broken protocol breaks a million times in the same way.
 */
import type { History, Operation } from './history.ts'

/**
 * `phantom`: a value was seen that nobody wrote, not yet, or not successfully. `stale`: a read past its bound. `resurrected`: the same, past a
 * delete or an absence. `vanished`: a value that a store has was not found. `lost-update`: an update was built on something else than what it
 * took the place of. `session`: a session did not see its own write. `diverged`: owners differ at rest.
 */
export type ViolationKind = 'phantom' | 'stale' | 'resurrected' | 'vanished' | 'lost-update' | 'session' | 'diverged'

export const VIOLATION_KINDS: readonly ViolationKind[] = [
  'phantom',
  'stale',
  'resurrected',
  'vanished',
  'lost-update',
  'session',
  'diverged',
]

export interface Violation {
  readonly kind: ViolationKind
  readonly key: string
  /** One sentence, with the times that prove it. */
  readonly explanation: string
  /** The operation at fault first. */
  readonly operations: readonly Operation[]
}

export type ViolationCounts = Readonly<Record<ViolationKind, number>>

export class Violations {
  readonly kept: Violation[] = []
  readonly counts = Object.fromEntries(VIOLATION_KINDS.map((kind) => [kind, 0])) as Record<ViolationKind, number>
  readonly #most: number

  /** @param most how many are kept */
  constructor(most: number) {
    this.#most = most
  }

  /** @param explain called only if it is kept */
  found(kind: ViolationKind, key: string, explain: () => Pick<Violation, 'explanation' | 'operations'>): void {
    this.counts[kind]++
    if (this.kept.length < this.#most) this.kept.push({ kind, key, ...explain() })
  }

  /** Of operations of a history, by their numbers. */
  foundIn(history: History, kind: ViolationKind, indices: readonly number[], explain: (...operations: Operation[]) => string): void {
    this.found(kind, history.at(indices[0]!).key, () => {
      const operations = indices.map((index) => history.at(index))
      return { explanation: explain(...operations), operations }
    })
  }
}

/** @returns a line for the violation and one for each operation */
export function violationText({ kind, key, explanation, operations }: Violation): string {
  return [`${kind} of '${key}': ${explanation}`, ...operations.map((each) => `  ${operationText(each)}`)].join('\n')
}

export function operationText(operation: Operation): string {
  const { process, kind, value, from, version, level, session, callMs, returnMs, outcome, markedStale } = operation
  const what =
    kind === 'delete'
      ? ''
      : kind === 'read'
        ? ` → ${shown(value)}`
        : kind === 'write'
          ? ` ${shown(value)}`
          : ` ${shown(from)} → ${shown(value)}`
  const details = [
    version === undefined ? '' : `version ${version}`,
    level === undefined ? '' : `level ${level}`,
    session === undefined ? '' : `session ${session}`,
    markedStale ? 'marked stale' : '',
  ].filter((each) => each !== '')
  const times = `${callMs.toFixed(3)} to ${returnMs.toFixed(3)} ms`
  return `process ${process}: ${kind}${what}, ${times}, ${[outcome, ...details].join(', ')}`
}

export const shown = (value: Operation['value']): string => (value === undefined ? 'nothing' : String(value))

export const msText = (ms: number): string => `${Number(ms.toFixed(3))} ms`
