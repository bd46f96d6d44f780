/**
 * More load than usual, or less to meet it with.
 */
import { CHANGING_KEYS, HERD_KEY, STEADY_KEYS } from '../chaos-plan.ts'
import type { FaultRow } from '../row.ts'

const DROP_EVERY_MS = 250
/** Each drop of the herd's key costs one load; beside it there are the usual few. */
const herdLoads = (faultMs: number): number => faultMs / DROP_EVERY_MS + faultMs / 25

export const LOAD_ROWS: readonly FaultRow[] = [
  {
    name: 'hot-key-herd',
    what: 'half of all requests want one key, which all nodes lose four times a second',
    clients: { do: 'herd', share: 0.5 },
    demand: { emptied: true, mostLoads: herdLoads },
    inject: async (ground) =>
      ground.repeat(
        DROP_EVERY_MS,
        async () => void (await Promise.all(ground.nodes.map((node) => node.command('DEL', `rt:chaos:${HERD_KEY}`)))),
      ),
    heal: async (ground) => ground.stopRepeating(),
  },
  {
    name: 'overload-10x',
    what: 'ten times the load: what is too much is refused, and soon after all is as before',
    clients: { do: 'surge', times: 10 },
    demand: { success: 0, hitP999Ms: Number.POSITIVE_INFINITY, recoveryMs: 5_000, mayShed: true },
  },
  {
    name: 'cold-start',
    what: 'all nodes are emptied under load',
    demand: { emptied: true, mostLoads: () => 1.5 * (STEADY_KEYS + CHANGING_KEYS) },
    inject: async (ground) => void (await Promise.all(ground.nodes.map((node) => node.command('FLUSHALL')))),
  },
]
