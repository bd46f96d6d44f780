/**
 * The rows of the chaos table that can happen to simulated nodes, as faults of a simulated run: alone, at its middle, on a plan like any other.
 *
 * The production code is the same there; servers, network and time are not. So what a row finds on real processes by luck of timing is found
 * here on many seeds, and a row that is kept on one of the two and not on the other says that one of them is wrong. Rows of which the load
 * itself is the matter, the ring or a process, have a ground of their own: `simulated-faults.ts`.
 */
import type { FaultName } from '../simulation/faults.ts'
import type { Plan, PlannedFault } from '../simulation/plan.ts'
import type { RowName } from './row-names.ts'
import type { SimulatedFaultName } from './simulated-faults.ts'

export type Faults = (at: FaultSite) => readonly PlannedFault[]

/** Where and when a row's fault is. */
interface FaultSite {
  readonly plan: Plan
  readonly node: number
  readonly client: number
  readonly startMs: number
  readonly forMs: number
}

/** Long enough for everything to be noticed, missed and remembered, ms. */
export const FAULT_MS = 2_500
const FLAP_MS = 400
const PAUSE_MS = 60

/** Which way a node is cut off: see `FAULTS`. */
const [OUTWARD, INWARD] = [0.25, 0.75]

const one =
  (name: FaultName, drawn = 0.5): Faults =>
  (site) => [faultOf(site, name, { drawn })]

const each =
  (nodes: (site: FaultSite) => readonly number[], name: FaultName): Faults =>
  (site) =>
    nodes(site).map((node) => faultOf(site, name, { node }))

/** Again and again, each time for `forMs`, every `everyMs`. */
const repeated =
  (name: FaultName, everyMs: number, forMs: number, drawn = 0.5): Faults =>
  (site) =>
    Array.from({ length: Math.floor(site.forMs / everyMs) }, (_, nth) =>
      faultOf({ ...site, startMs: site.startMs + nth * everyMs, forMs }, name, { drawn, client: nth % site.plan.clients }),
    )

/** Of what is back from being away: as long again. */
const returned =
  (name: FaultName): Faults =>
  (site) => [faultOf({ ...site, startMs: site.startMs + site.forMs }, name, {})]

const both =
  (...faults: readonly Faults[]): Faults =>
  (site) =>
    faults.flatMap((fault) => fault(site))

const allNodes = ({ plan }: FaultSite): readonly number[] => Array.from({ length: plan.nodes }, (_, node) => node)
const cutFrom = (nodes: (site: FaultSite) => readonly number[]): Faults => both(each(nodes, 'requests held'), each(nodes, 'replies held'))

export const SIMULATED_ROWS: Readonly<Record<Exclude<RowName, SimulatedFaultName>, Faults>> = {
  'node-killed': one('crash, restart empty'),
  'node-stopped': one('node slow'),
  'node-slow': repeated('node slow', 2 * PAUSE_MS, PAUSE_MS),
  'node-resets-mid-reply': repeated('connection broken', 50, 1),
  'node-blackholed': both(one('node cut off', OUTWARD), one('node cut off', INWARD)),
  'node-unheard': one('node cut off', INWARD),
  'node-deaf': one('node cut off', OUTWARD),
  'client-cut-from-node': cutFrom(({ node }) => [node]),
  'client-cut-from-all-nodes': cutFrom(allNodes),
  'node-flapping': repeated('node cut off', 2 * FLAP_MS, FLAP_MS, INWARD),
  'two-nodes-killed': each(({ plan, node }) => [node, (node + 1) % plan.nodes], 'crash, restart empty'),
  'zone-killed': each(
    ({ plan, node }) => allNodes({ plan } as FaultSite).filter((other) => other % 3 === node % 3),
    'crash, restart empty',
  ),
  'all-nodes-killed': each(allNodes, 'crash, restart empty'),
  'node-restarted-empty': (site) => [faultOf({ ...site, forMs: PAUSE_MS }, 'crash, restart empty', {})],
  'node-restarted-from-old-snapshot': one('crash, restart stale'),
  'node-loading': both(one('crash, state kept'), returned('everything refused')),
  'node-out-of-memory': one('no room'),
  'node-readonly': one('changes refused'),
  'node-busy-script': one('everything refused'),
  'shard-down': one('store unwell', 0),
  'shard-silent': one('store unwell', 1),
  'shard-slow': one('store slow'),
  'database-down': one('store refuses'),
  'database-silent': one('store silent'),
  'wall-clock-ahead': one('wall clock set', 1),
  'wall-clock-behind': one('wall clock set', 0),
}

/** The plan with nothing wrong but the row's fault. */
export function planWith(plan: Plan, faults: Faults): Plan {
  const startMs = plan.lengthMs * 0.3
  const forMs = Math.min(FAULT_MS, plan.lengthMs - startMs - 1)
  const site = { plan, node: plan.seed % plan.nodes, client: plan.seed % plan.clients, startMs, forMs }
  return { ...plan, faults: [...faults(site)].sort((a, b) => a.atMs - b.atMs) }
}

function faultOf(site: FaultSite, name: FaultName, other: Partial<Pick<PlannedFault, 'node' | 'client' | 'drawn'>>): PlannedFault {
  const { node, client, startMs, forMs } = site
  return { atMs: startMs, forMs, name, node, client, drawn: 0.5, ...other }
}
