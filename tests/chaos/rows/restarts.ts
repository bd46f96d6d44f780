/**
 * Nodes that come back at once, with nothing, with too much, or not ready yet.
 */
import type { FaultRow } from '../row.ts'

/** A node loads for so long at most: a start may take 10 s. */
const MOST_LOADING_MS = 4_000

/**
 * Of the short form's load before the fault: more than 5 s. Until then its peers are as new as the node, and its misses count; see
 * `docs/catching-up.md`.
 */
const OLD_ENOUGH = 8

export const RESTART_ROWS: readonly FaultRow[] = [
  {
    name: 'node-restarted-empty',
    what: 'a node dies and is back at once, with nothing',
    signs: ['node:down'],
    setting: { full: true, lead: OLD_ENOUGH },
    demand: { mostDip: 0.02 },
    inject: async (ground) => {
      await ground.node('n1').kill()
      await ground.node('n1').restart()
    },
  },
  {
    name: 'node-restarted-from-old-snapshot',
    what: 'a node dies and is back at once, with what it had some time ago',
    signs: ['node:down'],
    setting: { lead: OLD_ENOUGH },
    before: async (ground) => ground.node('n1').save(),
    inject: async (ground) => {
      await ground.node('n1').kill()
      await ground.node('n1').restart()
    },
  },
  {
    name: 'node-loading',
    what: 'a node dies, and answers LOADING for seconds before it has its snapshot, again and again',
    signs: ['node:down'],
    before: async (ground) => ground.node('n1').save(),
    inject: async (ground) => {
      const node = ground.node('n1')
      const keys = Number(await node.command('DBSIZE'))
      const delayUs = Math.ceil((Math.min(ground.faultMs, MOST_LOADING_MS) * 1_000) / Math.max(1, keys))
      ground.repeat(0, async () => {
        await node.kill()
        await node.restart(['--key-load-delay', String(delayUs), '--loading-process-events-interval-bytes', '1024'])
      })
    },
    heal: async (ground) => ground.stopRepeating(),
  },
]
