/**
 * Whether nodes answered what they hold, and spared the database: the share of reads that miss, and the rows that are loaded, in the window
 * and outside of it. A tier that asked the database for everything while one node is away would otherwise pass. A difference that chance explains says nothing.
 */
import { loadsBetween } from './bounds.ts'
import type { Observed } from './observed.ts'
import type { RequestRow } from './request-log.ts'
import type { Demand } from './row.ts'

/** @returns what was not as it is outside of the window */
export function unspared(
  window: readonly RequestRow[],
  before: readonly RequestRow[],
  after: readonly RequestRow[],
  { reports, loadMs, injectedMs, healed }: Observed,
  { away, mostDip, mostLoadsTimes, emptiedAfter, movedAfter }: Demand,
): string[] {
  const why: string[] = []
  // Of keys that are changed the first read after a delete misses, so that they are judged together with those that nobody changes; and each of
  // them does while their shard is away, which only says that it is.
  for (const steady of away === 'none' ? [true, false] : [true]) {
    // A node that comes back empty makes misses of its own, which would excuse those of the window; and so does one that nothing was moved to.
    const outside = emptiedAfter || (movedAfter && steady) ? before : [...before, ...after]
    const [inside, usual] = [missedOf(window, steady), missedOf(outside, steady)]
    const chance = Math.sqrt(usual.share * (1 - usual.share) * (1 / Math.max(1, inside.reads) + 1 / Math.max(1, usual.reads)))
    if (inside.share > usual.share + mostDip + 3 * chance)
      why.push(
        `${percent(inside.share)} of reads${steady ? ' of steady keys' : ''} missed, and outside of the window ${percent(usual.share)}`,
      )
  }
  if (!Number.isFinite(mostLoadsTimes)) return why
  const endMs = Math.max(healed.healedMs, ...reports.map(({ loads }) => loads.at(-1)?.[0] ?? 0))
  const loads = loadsBetween(reports, injectedMs, healed.healedMs)
  const usualLoads = loadsBetween(reports, loadMs, injectedMs) + loadsBetween(reports, healed.healedMs, endMs)
  const windowMs = healed.healedMs - injectedMs
  const expected = (usualLoads * windowMs) / Math.max(1, endMs - loadMs - windowMs)
  if (loads > mostLoadsTimes * expected + 3 * Math.sqrt(expected))
    why.push(`the database was asked for ${loads} rows, where ${Math.round(expected)} are usual`)
  return why
}

function missedOf(requests: readonly RequestRow[], onlySteady: boolean): { readonly reads: number; readonly share: number } {
  const reads = requests.filter(({ kind, isSteady }) => kind === 'read' && (isSteady || !onlySteady))
  const hits = reads.filter(({ result }) => result === 'hit' || result === 'stale')
  return { reads: reads.length, share: 1 - hits.length / Math.max(1, reads.length) }
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`
