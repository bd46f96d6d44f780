/**
 * Which answers of a read of many keys do not count as they came: their keys are asked of several owners at once.
 */
import { type BatchPoll, pollBatch } from './batch-poll.ts'
import type { Fetched } from './cluster.ts'
import { areAllBehind, lacksWhatOthersHave } from './owner-order.ts'
import type { PollLevel } from './owner-poll.ts'

type Batch = Omit<BatchPoll, 'level'>

/**
 * Misses of nodes that were emptied say nothing, nor does what one has where all are behind: the newest of all owners counts. Where it is long
 * that this process heard which nodes have missed changes, what another owner than the first has answered does not count: what a quorum says does.
 *
 * @param results of one owner each; changed in place @param anyOwner whether the level lets any owner answer @param untilMs by the monotonic clock
 */
export async function settleDoubts(batch: Batch, results: Fetched[], anyOwner: boolean, untilMs: number): Promise<void> {
  const { owners, context } = batch
  const empty: number[] = []
  for (let at = 0; at < results.length; at++) {
    const { bytes, node } = results[at]!
    if (node !== undefined && (areAllBehind(owners[at]!) || (bytes === undefined && lacksWhatOthersHave(node, owners[at]!)))) empty.push(at)
  }
  if (empty.length > 0) {
    const polled = await poll(batch, empty, 'all', Math.min(batch.deadlineMs, context.firstCall.timeoutMs))
    for (const [nth, at] of empty.entries()) if (polled[nth]!.node !== undefined) results[at] = polled[nth]!
  }
  if (anyOwner || !context.isUninformed()) return
  const standIns = results.flatMap(({ node }, at) => (node !== undefined && node !== owners[at]![0] ? [at] : []))
  if (standIns.length === 0) return
  const polled = await poll(batch, standIns, 'quorum', Math.max(1, untilMs - context.clock.monotonic()))
  for (const [nth, at] of standIns.entries()) results[at] = polled[nth]!
}

function poll(batch: Batch, open: readonly number[], level: PollLevel, deadlineMs: number): Promise<Fetched[]> {
  const keys = open.map((at) => batch.keys[at]!)
  const owners = open.map((at) => batch.owners[at]!)
  return pollBatch({ ...batch, keys, owners, level, deadlineMs })
}
