/**
 * What every read of a cluster goes by: its clock, the bound of a try, and what it may ask beyond one owner.
 */
import type { Clock } from '../clock.ts'
import type { RetryBudget } from '../resilience/retry-budget.ts'
import type { ReadRepair } from './read-repair.ts'

export interface WalkContext {
  readonly clock: Clock
  /** A call bounded by what one try may take. */
  readonly firstCall: { readonly timeoutMs: number }
  /** A call bounded by what all tries together may take unless the caller says otherwise. */
  readonly wholeCall: { readonly timeoutMs: number }
  /** Told of each try that a node failed. */
  readonly nodeFailed: (node: string) => void
  /** Whether it is long that this process heard which nodes have missed changes: then one that stands in for a key's first owner may be one of them. */
  readonly isUninformed: () => boolean
  readonly repair: ReadRepair
  /** Of tries that failed after they were sent. */
  readonly retries: RetryBudget
  /** Of second opinions on answers that are late. */
  readonly hedges: RetryBudget
}
