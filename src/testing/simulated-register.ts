/**
 * Histories of a register that is right: several processes at once, each operation taking effect at one moment between its call and its
 * return, reads of some level seeing what was current a while ago, some operations of unknown outcome that happen late or never.
 *
 * What `checkHistory` accuses of these it accuses wrongly. Drawn from a seed, in simulated time.
 */
import type { Random } from '../clock.ts'
import type { HistoryValue, Operation, OperationKind } from './history.ts'

export interface RegisterOptions {
  readonly random: Random
  readonly operations: number
  readonly keys: number
  readonly processes: number
  /** How long ago what reads of the level `lagging` see may have been current, ms. */
  readonly lagMs: number
  /** Whether every change has its version recorded. */
  readonly versions: boolean
  /** The fraction of changes whose outcome is unknown. */
  readonly unknowns: number
}

interface Planned {
  readonly process: number
  readonly key: string
  readonly kind: OperationKind
  readonly callMs: number
  readonly atMs: number
  readonly returnMs: number
  readonly lagging: boolean
  readonly fate: 'ok' | 'happens' | 'never'
}

interface State {
  readonly sinceMs: number
  readonly value: HistoryValue | undefined
}

const LONGEST_MS = 8

export function simulatedHistory(options: RegisterOptions): Operation[] {
  const states = new Map<string, State[]>()
  /** By process and key: what its session must not look behind. */
  const ownChanges = new Map<string, number>()
  let lastValue = 0
  let lastVersion = 0n
  return planned(options).map((plan): Operation => {
    const { process, key, kind, callMs, returnMs, atMs, fate } = plan
    const past = states.get(key) ?? [{ sinceMs: Number.NEGATIVE_INFINITY, value: undefined }]
    states.set(key, past)
    const session = `process-${process}`
    const operation = { process, key, kind, callMs, returnMs, session }
    if (kind === 'read') {
      const lagMs = plan.lagging ? options.random() * options.lagMs : 0
      const seen = stateAt(past, Math.max(atMs - lagMs, ownChanges.get(`${process} ${key}`) ?? 0))
      return { ...operation, value: seen.value, outcome: 'ok', level: plan.lagging ? 'lagging' : 'primary' }
    }
    const outcome = fate === 'ok' ? 'ok' : 'unknown'
    const value = kind === 'delete' ? undefined : ++lastValue
    const from = kind === 'update' ? past.at(-1)!.value : undefined
    if (fate === 'never') return { ...operation, value, from, outcome }
    past.push({ sinceMs: atMs, value })
    if (outcome === 'ok') ownChanges.set(`${process} ${key}`, atMs)
    return { ...operation, value, from, outcome, version: options.versions ? ++lastVersion : undefined }
  })
}

/** In the order in which they take effect. */
function planned({ random, operations, keys, processes, unknowns }: RegisterOptions): Planned[] {
  const freeAtMs = new Array<number>(processes).fill(0)
  const plans = Array.from({ length: operations }, (): Planned => {
    const process = Math.floor(random() * processes)
    const callMs = freeAtMs[process]! + random() * LONGEST_MS
    const returnMs = callMs + random() * LONGEST_MS
    freeAtMs[process] = returnMs + 0.001
    const draw = random()
    const kind = draw < 0.5 ? 'read' : draw < 0.7 ? 'write' : draw < 0.85 ? 'update' : 'delete'
    const isUnknown = kind !== 'read' && random() < unknowns
    const fate = isUnknown ? (random() < 0.5 ? 'happens' : 'never') : 'ok'
    // What nobody knows the outcome of may happen long after it was given up; an update knows by then what it is derived from.
    const atMs = callMs + random() * (fate === 'happens' && kind !== 'update' ? 10 * LONGEST_MS : returnMs - callMs)
    return { process, key: `k${Math.floor(random() * keys)}`, kind, callMs, atMs, returnMs, lagging: random() < 0.3, fate }
  })
  return plans.sort((a, b) => a.atMs - b.atMs)
}

function stateAt(past: readonly State[], ms: number): State {
  return past.findLast(({ sinceMs }) => sinceMs <= ms)!
}
