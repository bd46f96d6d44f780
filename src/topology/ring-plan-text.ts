/** A plan, to be read by who is about to decide on it. */
import type { DatabaseOutlook, ExpectedLoads, RingPlan } from './topology.ts'

/** Moves that are told one by one. */
const MOST_MOVES = 12

/**
 * A plan as lines of plain text, in English.
 * @example console.log(ringPlanText(await tier.planRingChange({ remove: ['cache-1'] })))
 */
export function ringPlanText(plan: RingPlan): string {
  const { keys, copies, bytes, moves, loadsWithoutCopying, keysNotCopied, entriesWithoutRoom, expectedMs, database } = plan
  const { total, ...steps } = expectedMs
  const further = moves.slice(MOST_MOVES).reduce((sum, move) => sum + move.copies, 0)
  return [
    `${whole(keys)} keys, of which ${whole(loadsWithoutCopying)} get another first owner; ${whole(copies)} copies, about ${mebibytes(bytes)} MiB:`,
    ...moves.slice(0, MOST_MOVES).map((move) => `  ${move.from ?? '(none)'} → ${move.to}: ${whole(move.copies)}`),
    ...(further > 0 ? [`  between others: ${whole(further)}`] : []),
    ...(keysNotCopied > 0 ? [`not copied, for they are plain: ${whole(keysNotCopied)} keys`] : []),
    ...(entriesWithoutRoom > 0 ? [`to be evicted for lack of room: ${whole(entriesWithoutRoom)} entries`] : []),
    `about ${seconds(total)} s: ${Object.entries(steps)
      .map(([step, ms]) => `${step} ${seconds(ms)} s`)
      .join(', ')}`,
    ...outlookLines('by what all processes ask of the nodes', database.ofAllProcesses),
    ...outlookLines('by what this process reads', database.ofThisProcess),
  ].join('\n')
}

function outlookLines(by: string, outlook: DatabaseOutlook | undefined): string[] {
  if (outlook === undefined) return [`the database, ${by}: not known, for nothing was read while it was measured`]
  const { measuredMs, hitsSeen, loadsSeen, now, copying, switched, atMost, withoutCopying } = outlook
  return [
    `the database, ${by} (in ${seconds(measuredMs)} s ${whole(hitsSeen)} hits, ${whole(loadsSeen)} loads), keys loaded a second:`,
    `  now ${told(now)}`,
    `  while copying ${told(copying)}`,
    `  right after the switch ${told(switched)}, at most ${told(atMost)}`,
    `  if nothing were copied ${told(withoutCopying)}`,
  ]
}

function told({ loadsPerSecond, timesNow }: ExpectedLoads): string {
  return timesNow === undefined || timesNow === 1 ? figure(loadsPerSecond) : `${figure(loadsPerSecond)} (${figure(timesNow)} times as many)`
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

function whole(value: number): string {
  return value.toLocaleString('en-US')
}

function seconds(ms: number): string {
  return (ms / 1_000).toLocaleString('en-US', { maximumFractionDigits: 1 })
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toLocaleString('en-US', { maximumFractionDigits: 1 })
}
