/**
 * More load than usual, or less to meet it with.
 */
import { loadsBetween } from '../bounds.ts'
import { CHANGING_KEYS, HERD_KEY, STEADY_KEYS } from '../chaos-plan.ts'
import { noOverload } from '../overload.ts'
import type { FaultRow } from '../row.ts'

export const DROP_EVERY_MS = 250
/** Half of the requests are to be the herd's, and each drop is to find the key on a node: of both the least share that shows it. */
const LEAST_HERD = 0.4
const LEAST_DROPS = 0.5
/** In either form a window asks for more than so many of the keys. */
const LEAST_COLD_LOADS = 200
/**
 * Of a client's reads half are the herd's, a third of which each owner has, and a fifth of the others: 27 %. Half as much again is too much; where
 * the herd's all went to one it would be 60 %.
 */
const MOST_OF_ONE_NODE = 0.4
export const SCARCE_LATENCY_MS = 50
/** Each drop of the herd's key costs one load; beside it there are the usual few. */
const herdLoads = (faultMs: number): number => faultMs / DROP_EVERY_MS + faultMs / 25

export const LOAD_ROWS: readonly FaultRow[] = [
  {
    name: 'hot-key-herd',
    what: 'half of all requests want one key, which all nodes lose four times a second',
    clients: { do: 'herd', share: 0.5 },
    demand: { emptied: true, mostLoads: herdLoads, mostOfOneNode: MOST_OF_ONE_NODE },
    proof: ({ window, observed: { reports, injectedMs, healed } }) => {
      const herded = reports.reduce((sum, each) => sum + each.herded, 0)
      if (herded < LEAST_HERD * window.length) return `of ${window.length} requests only ${herded} were for the herd's key`
      if (reports.some(({ herdReads }) => Object.keys(herdReads).length === 0)) return 'it was not counted which nodes answered the herd'
      const drops = healed.saw.drops ?? 0
      const least = ((healed.healedMs - injectedMs) / DROP_EVERY_MS) * LEAST_DROPS
      return drops >= least ? undefined : `nodes had the herd's key only ${drops} times when it was dropped`
    },
    inject: async (ground) =>
      ground.repeat(DROP_EVERY_MS, async () => {
        const dropped = await Promise.all(ground.nodes.map((node) => node.command('DEL', `rt:chaos:${HERD_KEY}`)))
        ground.saw('drops', dropped.some((each) => each === 1) ? 1 : 0)
      }),
    heal: async (ground) => ground.stopRepeating(),
  },
  {
    name: 'overload-10x',
    what: 'ten times the load: what is too much is refused, and soon after all is as before',
    clients: { do: 'surge', times: 10 },
    setting: { scarce: true },
    demand: { hitP999Ms: Number.POSITIVE_INFINITY, recoveryMs: 5_000, mayShed: true },
    proof: ({ window }) => noOverload(window),
    // Before there is load, and until the row is over: at ten times the load the database, not the machine, is what there is too little of.
    before: async (ground) => {
      for (const shard of ground.shards) shard.set({ latencyMs: SCARCE_LATENCY_MS }, 'down')
    },
  },
  {
    name: 'cold-start',
    what: 'all nodes are emptied under load',
    demand: { emptied: true, mostLoads: () => 1.5 * (STEADY_KEYS + CHANGING_KEYS) },
    proof: ({ observed: { reports, injectedMs, healed } }) => {
      const loads = loadsBetween(reports, injectedMs, healed.healedMs)
      if ((healed.saw.held ?? 0) < STEADY_KEYS) return 'nodes held next to nothing when they were emptied'
      return loads >= LEAST_COLD_LOADS ? undefined : `the database was asked for ${loads} rows: nodes were not empty`
    },
    inject: async (ground) => {
      for (const node of ground.nodes) ground.saw('held', Number(await node.command('DBSIZE')))
      await Promise.all(ground.nodes.map((node) => node.command('FLUSHALL')))
    },
  },
]
