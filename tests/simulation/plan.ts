/**
 * A seed's plan: how large the fleet is, how good its network and clocks, who does what when, and what goes wrong.
 *
 * All of it is drawn before the run begins. Each part of the run then draws from a stream of its own, so that a plan from which operations
 * or faults were taken away still meets nearly the same run: that is what makes a failing seed shrink.
 */
import type { Random } from '../../src/clock.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'
import { FAULTS, type FaultName } from './faults.ts'
import type { NetworkConditions } from './network.ts'
import { CACHES, type CacheName, OPERATIONS, type OperationName } from './operations.ts'

export interface PlannedOperation {
  readonly atMs: number
  readonly client: number
  readonly cache: CacheName
  readonly name: OperationName
  /** Numbers of keys; the first is the one meant where one is. */
  readonly keys: readonly number[]
  /** Between 0 and 1, for what the operation draws itself. */
  readonly drawn: number
}

export interface PlannedFault {
  readonly atMs: number
  readonly forMs: number
  readonly name: FaultName
  /** Which node, and which client where one is meant. */
  readonly node: number
  readonly client: number
  /** Between 0 and 1: how bad, or which way. */
  readonly drawn: number
}

export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly clients: number
  readonly replicas: number
  readonly keys: number
  readonly ttlMs: number
  readonly graceMs: number
  readonly network: Readonly<NetworkConditions>
  readonly storeMs: number
  /** Per client, ms and a fraction. */
  readonly skews: readonly { readonly skewMs: number; readonly drift: number }[]
  readonly operations: readonly PlannedOperation[]
  readonly faults: readonly PlannedFault[]
  /** When the last operation has begun. */
  readonly lengthMs: number
}

/** The least that every seed has. */
export const LEAST = { nodes: 5, clients: 4, operations: 500, faults: 5 } as const

export function planOf(seed: number): Plan {
  const random = streamOf(seed, 'plan')
  const nodes = LEAST.nodes + whole(random, 3)
  const clients = LEAST.clients
  const keys = 2 + whole(random, 4)
  const skewed = random() < 0.7
  const skews = Array.from({ length: clients }, () => ({
    skewMs: skewed ? Math.round((random() - 0.5) * 600) : 0,
    drift: skewed ? (random() - 0.5) * 0.002 : 0,
  }))
  const operations = operationsOf(streamOf(seed, 'operations'), clients, keys)
  const lengthMs = operations.at(-1)!.atMs
  return {
    seed,
    nodes,
    clients,
    replicas: 3,
    keys,
    ttlMs: 300 + whole(random, 3_000),
    graceMs: random() < 0.3 ? 0 : whole(random, 3_000),
    network: { meanMs: 0.2 + random() * 1.5, spikesPerMille: random() * 20, spikeMs: 10 + random() * 90, lossesPerMille: random() * 4 },
    storeMs: 0.5 + random() * 4,
    skews,
    operations,
    faults: faultsOf(streamOf(seed, 'faults'), nodes, clients, lengthMs),
    lengthMs,
  }
}

/** Chance of its own for each part of a run. */
export function streamOf(seed: number, part: string): Random {
  let mixed = Math.imul(seed, 0x9e3779b1)
  for (let i = 0; i < part.length; i++) mixed = Math.imul(mixed ^ part.charCodeAt(i), 0x85ebca6b)
  return seededRandom(mixed)
}

export function whole(random: Random, below: number): number {
  return Math.floor(random() * below)
}

/** Two caches take most of the load, and one key of each: what is not fought over shows nothing. */
function operationsOf(random: Random, clients: number, keys: number): PlannedOperation[] {
  const names = Object.keys(CACHES) as CacheName[]
  const favourites = [pick(random, names), pick(random, names)]
  const meanMs = 20 + random() * 30
  const count = LEAST.operations + whole(random, 150)
  const operations: PlannedOperation[] = []
  for (let atMs = 0; operations.length < count; ) {
    // Some come at once, so that they meet.
    atMs += random() < 0.35 ? random() * 2 : -Math.log(1 - random()) * meanMs
    const cache = random() < 0.75 ? pick(random, favourites) : pick(random, names)
    const first = random() < 0.5 ? 0 : whole(random, keys)
    operations.push({
      atMs,
      client: whole(random, clients),
      cache,
      name: weighted(random, cache),
      keys: [first, whole(random, keys), whole(random, keys)],
      drawn: random(),
    })
  }
  return operations
}

function faultsOf(random: Random, nodes: number, clients: number, lengthMs: number): PlannedFault[] {
  const names = Object.keys(FAULTS) as FaultName[]
  const count = LEAST.faults + whole(random, 6)
  const faults = Array.from({ length: count }, (_, nth) => {
    // The first lasts until everything is healed, and none for longer: what they left is there when the owners are to come together.
    const atMs = nth === 0 ? lengthMs - 1_500 * random() : random() * lengthMs * 0.95
    const leftMs = lengthMs - atMs
    const forMs = nth === 0 ? leftMs : Math.min(20 + random() ** 2 * 3_000, leftMs)
    return { atMs, forMs, ...spotOf(random, names, nodes, clients) }
  })
  return faults.sort((a, b) => a.atMs - b.atMs)
}

function spotOf(random: Random, names: readonly FaultName[], nodes: number, clients: number) {
  return {
    name: pick(random, names),
    node: whole(random, nodes),
    client: whole(random, clients),
    drawn: random(),
  }
}

function weighted(random: Random, cache: CacheName): OperationName {
  const { order } = CACHES[cache]
  const fitting = (Object.keys(OPERATIONS) as OperationName[]).filter((each) => OPERATIONS[each].fits(cache, order))
  let left = random() * fitting.reduce((sum, each) => sum + OPERATIONS[each].weight, 0)
  for (const each of fitting) {
    left -= OPERATIONS[each].weight
    if (left < 0) return each
  }
  return fitting.at(-1)!
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[whole(random, from.length)]!
}
