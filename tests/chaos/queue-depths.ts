/**
 * How full the queues of a client's tier were at most, what may be in them by its options, and which of them did not empty when all was over.
 */
import type { CaptureStats, JournalStats, QueueDepth, QueueName, TierMetrics } from '../../src/index.ts'

/** Beside what the tier tells as its queues: what write-behind and captures have yet to do. */
type Kind = QueueName | 'journalBytes' | 'captureWaiting' | 'captureOwed'

export interface QueuePeak {
  /** The greatest depth that was seen. */
  readonly most: number
  /** What the tier says may be in it. */
  readonly bound: number
  /** What may be by the options, and by the documentation (docs/metrics.md). */
  readonly stated: number
}

export interface QueueOptions {
  /** Calls under way to a shard. */
  readonly places: number
}

/** By kind; what there is none of is not among them. */
export type QueuePeaks = Readonly<Record<string, QueuePeak>>

const STATED: Readonly<Record<Exclude<Kind, 'storeUnderWay'>, number>> = {
  calls: 131_072,
  nodeWaiting: 16_384,
  nodeUnderWay: 3 * 128,
  nodeCommands: 1_024,
  hintsUnderWay: 20_000,
  hintsHeld: 20_000,
  changesHeld: 20_000,
  changesDoubted: 20_000,
  leasesStray: 65_536,
  repairs: 256,
  probes: 256,
  groupsAsked: 16_384,
  loads: 65_536,
  loadsPaused: 4_096,
  touches: 1_024,
  storeWaiting: 1_024,
  storeReadsWaiting: 65_536,
  saves: 65_536,
  writesUnjournalled: 20_000,
  writesUnsettled: 20_000,
  busWaiting: 10_000,
  eventsWaiting: 1_000,
  journalBytes: 268_435_456,
  captureWaiting: 4_096,
  captureOwed: 65_536,
}
/** Not queues: they are let go of when there are others. */
const STAYING: readonly string[] = ['loadsPaused']

interface Seen {
  readonly metrics: TierMetrics
  readonly captures: readonly CaptureStats[]
}

export class QueueDepths {
  readonly #stated: Readonly<Record<Kind, number>>
  readonly #peaks = new Map<Kind, QueuePeak>()

  constructor({ places }: QueueOptions) {
    this.#stated = { ...STATED, storeUnderWay: places }
  }

  get peaks(): QueuePeaks {
    return Object.fromEntries(this.#peaks)
  }

  /** @returns what is in them now, where anything is */
  look(seen: Seen): Readonly<Record<string, number>> {
    const filled: Record<string, number> = {}
    for (const [kind, { depth, bound }] of depthsOf(seen)) {
      if (bound === 0) continue
      if (depth > 0) filled[kind] = depth
      this.#peaks.set(kind, { most: Math.max(depth, this.#peaks.get(kind)?.most ?? 0), bound, stated: this.#stated[kind] })
    }
    return filled
  }

  /** Looks until each was seen empty, or often enough. @returns what was last in those that were not */
  async emptied(see: () => Seen, looks: number, pause: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
    let left: Readonly<Record<string, number>> | undefined
    for (let look = 1; ; look++) {
      const filled = together(this.look(see()))
      const kinds = Object.keys(left ?? filled).filter((kind) => kind in filled && !STAYING.includes(kind))
      left = Object.fromEntries(kinds.map((kind) => [kind, filled[kind]!]))
      if (kinds.length === 0 || look >= looks) return left
      await pause()
    }
  }
}

/** Hints that nobody keeps go from one queue to the other and back, so that each of them is empty now and then. */
function together({ hintsHeld = 0, hintsUnderWay = 0, ...others }: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const hints = hintsHeld + hintsUnderWay
  return hints === 0 ? others : { ...others, hints }
}

function depthsOf({ metrics, captures }: Seen): (readonly [Kind, QueueDepth])[] {
  const journals = Object.values(metrics.caches).flatMap(({ store }) => store?.pending?.journal ?? [])
  return [
    ...(Object.entries(metrics.queues) as [QueueName, QueueDepth][]),
    ...journals.map(({ bytes, maxBytes }: JournalStats) => ['journalBytes', { depth: bytes, bound: maxBytes }] as const),
    ...captures.flatMap(({ waiting, owed }) => [
      ['captureWaiting', { depth: waiting, bound: STATED.captureWaiting }] as const,
      ['captureOwed', { depth: owed, bound: STATED.captureOwed }] as const,
    ]),
  ]
}

/** The greatest depths, of kinds in which anything was. */
export function depthsText(peaks: QueuePeaks): string {
  return Object.entries(peaks)
    .flatMap(([kind, { most, stated }]) => (most > 0 ? [`${kind} ${most} of ${stated}`] : []))
    .join(', ')
}

/** @returns what was not within its bound */
export function overfull(peaks: QueuePeaks): string[] {
  return Object.entries(peaks).flatMap(([kind, { most, bound, stated }]) => [
    ...(most > stated ? [`a client had ${most} in ${kind}, where ${stated} may be`] : []),
    ...(bound === stated ? [] : [`a client says that ${bound} may be in ${kind}, and its options say ${stated}`]),
  ])
}
