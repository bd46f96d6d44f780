/**
 * The faults of rows that are of load, of the ring or of a process, done to simulated nodes and shards: see `simulated-run.ts`.
 *
 * What a client does or suffers the real row says. Where virtual time can count what a machine can only estimate, more is demanded than of that.
 */
import { HERD_KEY } from './chaos-plan.ts'
import type { RowName } from './row-names.ts'
import { DROP_EVERY_MS, SCARCE_LATENCY_MS } from './rows/loads.ts'
import type { SimulatedFault } from './simulated-fault.ts'

/** Long enough for both clients to want one row before either has it, ms. */
const LOAD_MS = 100
/** One row in a hundred may be asked for once more: a fill may come too late for who waits for it. */
const MOST_ASKED = 1.01
/** The same of each drop of the herd's key. */
const MOST_HERD_LOADS = 1.25

const killDrained: SimulatedFault = { heal: (ground) => ground.killNode('n1') }

export const SIMULATED_FAULTS = {
  'node-added': {},
  'node-drained': killDrained,
  'node-replaced': killDrained,
  'process-killed-with-writes-pending': {},
  'hot-key-herd': {
    latencyMs: LOAD_MS,
    inject: (ground) =>
      ground.repeat(DROP_EVERY_MS, () => {
        const dropped = ground.servers.map((server) => server.evict((key) => key === `rt:chaos:${HERD_KEY}`))
        ground.count('drops', dropped.some((each) => each > 0) ? 1 : 0)
      }),
    heal: (ground) => ground.stopRepeating(),
    unkept: ({ asked, saw: { drops = 0 } }) => {
      const loads = asked.get(HERD_KEY) ?? 0
      return loads <= MOST_HERD_LOADS * drops ? undefined : `the herd's row was asked for ${loads} times, and lost ${drops} times`
    },
  },
  'overload-10x': { before: (ground) => ground.slowShards(SCARCE_LATENCY_MS) },
  'cold-start': {
    // Enough requests for many rows to be wanted twice at once, and places for all of them.
    plan: { rate: 1_000, connections: 24 },
    latencyMs: LOAD_MS,
    inject: (ground) => {
      for (const server of ground.servers) {
        ground.count('held', server.entries().length)
        server.empty()
      }
    },
    unkept: ({ asked }) => {
      const steady = Array.from(asked).filter(([key]) => key.startsWith('steady'))
      const times = steady.reduce((sum, [, each]) => sum + each, 0)
      return times <= MOST_ASKED * steady.length ? undefined : `${steady.length} rows that nobody changes were asked for ${times} times`
    },
  },
} satisfies Partial<Record<RowName, SimulatedFault>>

export type SimulatedFaultName = keyof typeof SIMULATED_FAULTS
