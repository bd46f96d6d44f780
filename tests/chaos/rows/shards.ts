/**
 * A database that is away, in part or whole, or slow: what nodes have is served, past its `ttl` too, and the rest fails fast and typed.
 */
import type { Ground } from '../ground.ts'
import type { FaultRow } from '../row.ts'
import type { RowSetting } from '../row-setting.ts'

/** Runs out within the window, so that only `grace` can answer. */
const expiring = (...staleShards: readonly number[]): Partial<RowSetting> => ({ ttlMs: 1_500, graceMs: 600_000, staleShards })
const SLOW_MS = 300

/** The proxies take connections and what is sent, and let nothing through. */
const silent = (shards: readonly number[]): Pick<FaultRow, 'inject' | 'heal'> => ({
  inject: async (ground: Ground) => {
    for (const nth of shards) ground.shards[nth]!.set({ blackhole: true })
  },
  heal: async (ground: Ground) => void (await Promise.all(shards.map((nth) => ground.shards[nth]!.heal()))),
})

const gone = (shards: readonly number[]): Pick<FaultRow, 'inject' | 'heal'> => ({
  inject: async (ground: Ground) => {
    for (const nth of shards) {
      ground.shards[nth]!.refuse()
      ground.shards[nth]!.reset()
    }
  },
  heal: async (ground: Ground) => void (await Promise.all(shards.map((nth) => ground.shards[nth]!.heal()))),
})

export const SHARD_ROWS: readonly FaultRow[] = [
  {
    name: 'shard-down',
    what: 'one shard of three refuses connections',
    signs: ['store:failed'],
    setting: expiring(0),
    demand: { away: 'one' },
    ...gone([0]),
  },
  {
    name: 'shard-silent',
    what: 'one shard of three takes connections and statements, and answers nothing',
    signs: ['store:failed'],
    setting: expiring(0),
    demand: { away: 'one' },
    ...silent([0]),
  },
  {
    name: 'shard-slow',
    what: 'every answer of one shard of three comes 300 ms later',
    setting: expiring(0),
    proof: ({ window }) => {
      const changes = window.filter(({ kind, shard }) => (kind === 'write' || kind === 'delete') && shard === 0)
      return changes.some(({ tookMs }) => tookMs >= SLOW_MS) ? undefined : `of ${changes.length} changes of the slow shard none was slow`
    },
    inject: async (ground) => ground.shards[0]!.set({ latencyMs: SLOW_MS }, 'down'),
    heal: async (ground) => ground.shards[0]!.heal(),
  },
  {
    name: 'database-down',
    what: 'all shards refuse connections',
    signs: ['store:failed'],
    setting: expiring(0, 1, 2),
    demand: { away: 'all' },
    ...gone([0, 1, 2]),
  },
  {
    name: 'database-silent',
    what: 'all shards take connections and statements, and answer nothing',
    signs: ['store:failed'],
    setting: expiring(0, 1, 2),
    demand: { away: 'all' },
    ...silent([0, 1, 2]),
  },
]
