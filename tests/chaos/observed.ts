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
  /** Of the proxies' process, p99.9, before the fault and after healing. */
  readonly lagMs: { readonly before: number; readonly after: number }
  readonly reports: readonly ClientReport[]
  /** Of each client, what kept its process from ending once it had closed. */
  readonly left: readonly (readonly string[])[]
  readonly history: History
}
