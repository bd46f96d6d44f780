/**
 * What happened in a row, before anybody says whether it was right: when the fault began and ended, every request, every operation.
 */
import type { History } from '../../src/testing/index.ts'
import type { ClientReport, Healed } from './chaos-messages.ts'

export interface Observed {
  /** When clients had run in. */
  readonly loadMs: number
  readonly injectedMs: number
  readonly healed: Healed
  readonly reports: readonly ClientReport[]
  readonly history: History
}
