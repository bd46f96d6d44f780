/**
 * Nodes that come back at once, with nothing, with too much, or not ready yet.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Ground } from '../ground.ts'
import type { Evidence, FaultRow } from '../row.ts'

/** A node loads for so long at most: a start may take 10 s. */
const MOST_LOADING_MS = 4_000

/**
 * Of the short form's load before the fault: more than 5 s. Until then its peers are as new as the node, and its misses count; see
 * `docs/catching-up.md`.
 */
const OLD_ENOUGH = 8

/** A node is one of three owners in five of 2,000 keys. */
const LEAST_HELD = 600
const LOOK_EVERY_MS = 100
/** In either form. */
const LEAST_LOADING = 5

/** Kills it and has it back, and sees what it held before and what it began with. */
async function restarted(ground: Ground): Promise<void> {
  const node = ground.node('n1')
  ground.saw('held', Number(await node.command('DBSIZE')))
  await node.kill()
  await node.restart()
  ground.saw('holds', Number(await node.command('DBSIZE')))
  ground.saw('restored', (await node.figure('rdb_last_load_keys_loaded')) ?? 0)
}

/** Asks it meanwhile, and counts what it refuses for that it is loading. */
async function sawLoading(ground: Ground, restarting: Promise<void>): Promise<void> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  restarting.then(over, over)
  while (!isOver) {
    ground.saw('loading', (await ground.node('n1').isLoading()) ? 1 : 0)
    await pause(LOOK_EVERY_MS)
  }
  await restarting
}

const wasEmpty = ({ observed: { healed } }: Evidence): string | undefined => {
  const { held = 0, holds = held } = healed.saw
  if (held < LEAST_HELD) return `the node held only ${held} keys when it was killed`
  return holds < LEAST_HELD / 2 ? undefined : `the node was not empty when it was back: it held ${holds} keys`
}

const wasOld = ({ before, observed: { healed } }: Evidence): string | undefined => {
  const { restored = 0 } = healed.saw
  if (restored < LEAST_HELD) return `the node had only ${restored} keys from its snapshot`
  // The snapshot was made before there was load.
  const changes = before.filter(({ kind, result }) => (kind === 'write' || kind === 'delete') && result === 'done')
  return changes.length > 0 ? undefined : 'nothing was changed after the snapshot: it was not old'
}

const wasLoading = ({ observed: { healed } }: Evidence): string | undefined => {
  const { loading = 0 } = healed.saw
  return loading >= LEAST_LOADING ? undefined : `the node answered LOADING only ${loading} times`
}

export const RESTART_ROWS: readonly FaultRow[] = [
  {
    name: 'node-restarted-empty',
    what: 'a node dies and is back at once, with nothing',
    signs: ['node:restarted'],
    proof: wasEmpty,
    setting: { full: true, lead: OLD_ENOUGH },
    demand: { mostDip: 0.02 },
    inject: restarted,
  },
  {
    name: 'node-restarted-from-old-snapshot',
    what: 'a node dies and is back at once, with what it had some time ago',
    signs: ['node:restarted'],
    proof: wasOld,
    setting: { lead: OLD_ENOUGH },
    before: async (ground) => ground.node('n1').save(),
    inject: restarted,
  },
  {
    name: 'node-loading',
    what: 'a node dies, and answers LOADING for seconds before it has its snapshot, again and again',
    signs: ['node:down'],
    proof: wasLoading,
    before: async (ground) => ground.node('n1').save(),
    inject: async (ground) => {
      const node = ground.node('n1')
      const keys = Number(await node.command('DBSIZE'))
      const delayUs = Math.ceil((Math.min(ground.faultMs, MOST_LOADING_MS) * 1_000) / Math.max(1, keys))
      ground.repeat(0, async () => {
        await node.kill()
        await sawLoading(ground, node.restart(['--key-load-delay', String(delayUs), '--loading-process-events-interval-bytes', '1024']))
      })
    },
    heal: async (ground) => ground.stopRepeating(),
  },
]
