/**
 * A database that is away, in part or whole, or slow: what nodes have is served, past its `ttl` too, and the rest fails fast and typed.
 */
import type { Ground } from '../ground.ts'
import type { FaultRow } from '../row.ts'
import type { RowSetting } from '../row-setting.ts'

/** Runs out within the window, so that only `grace` can answer. */
const EXPIRING: Partial<RowSetting> = { ttlMs: 1_500, graceMs: 600_000 }
const SLOW_MS = 300

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
    setting: EXPIRING,
    demand: { away: 'one' },
    ...gone([0]),
  },
  {
    name: 'shard-slow',
    what: 'every answer of one shard of three comes 300 ms later',
    inject: async (ground) => ground.shards[0]!.set({ latencyMs: SLOW_MS }, 'down'),
    heal: async (ground) => ground.shards[0]!.heal(),
  },
  {
    name: 'database-down',
    what: 'all shards refuse connections',
    signs: ['store:failed'],
    setting: EXPIRING,
    demand: { away: 'all' },
    ...gone([0, 1, 2]),
  },
]
