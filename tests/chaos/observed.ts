/**
 * What happened in a row, before anybody says whether it was right: when the fault began and ended, every request, every operation.
 */
import type { History } from '../../src/testing/index.ts'
import type { ClientReport, Healed } from './chaos-messages.ts'
import type { RequestColumns } from './request-log.ts'
import type { RowName } from './row-names.ts'

/** One fault of several. */
export interface FaultSpan {
  readonly name: RowName | 'soak'
  readonly injectedMs: number
  readonly healedMs: number
}

/** A client that was killed. */
export interface KilledClient {
  /** All that was due until a moment before. */
  readonly requests: RequestColumns
  readonly killedMs: number
  /** From when its successor is asked. */
  readonly replacedMs: number
}

export interface Observed {
  /** When clients had run in. */
  readonly loadMs: number
  readonly injectedMs: number
  readonly healed: Healed
  readonly killed?: readonly KilledClient[]
  /** Of a soak each fault, in order. */
  readonly faults?: readonly FaultSpan[]
  /** Of the proxies' process, p99.9, before the fault and after healing. */
  readonly lagMs: { readonly before: number; readonly after: number }
  readonly reports: readonly ClientReport[]
  /** Of each client, what was in queues when all was over and did not go, by kind. */
  readonly waiting: readonly Readonly<Record<string, number>>[]
  /** The most that one node kept of hints for another then. */
  readonly hintsLeft: number
  /** Of each client, what kept its process from ending once it had closed. */
  readonly left: readonly (readonly string[])[]
  readonly history: History
}
