/**
 * Reads where nothing is the matter: before the fault, and when it has long been over. They have no reason to be old, and are judged by a bound of their own.
 */
import { History, type Operation } from '../../src/testing/index.ts'
import { STALENESS_BOUND_MS } from './chaos-plan.ts'
import type { Observed } from './observed.ts'

/** What such a read may be old, ms: where all owners answer, the first of them has what was acknowledged. */
export const QUIET_BOUND_MS = 100

/** The history, with those reads under that bound. @param recoveryMs within which all is to be well after healing */
export function withQuietReads({ history, loadMs, injectedMs, healed }: Observed, recoveryMs: number): History {
  const restMs = healed.healedMs + recoveryMs + STALENESS_BOUND_MS
  const isQuiet = ({ kind, callMs, returnMs }: Operation): boolean =>
    kind === 'read' && ((callMs >= loadMs && returnMs < injectedMs) || callMs >= restMs)
  return History.of(judged())

  function* judged(): Generator<Operation> {
    for (let at = 0; at < history.size; at++) {
      const operation = history.at(at)
      const isBounded = operation.boundMs !== undefined && operation.boundMs > QUIET_BOUND_MS
      yield isBounded && isQuiet(operation) ? { ...operation, boundMs: QUIET_BOUND_MS } : operation
    }
  }
}
