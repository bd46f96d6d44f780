/**
 * Connections that break: in the middle of a reply, again and again, or for one client alone.
 */
import type { FaultRow } from '../row.ts'

/** Some ten replies: each is cut in another place. */
const RESET_AFTER_BYTES = 3_001
const FLAP_MS = 400

export const CUT_ROWS: readonly FaultRow[] = [
  {
    name: 'node-resets-mid-reply',
    what: 'each connection to a node is reset in the middle of a reply, and so is the next',
    signs: ['node:down'],
    inject: async (ground) => ground.node('n1').proxy.set({ resetAfterBytes: RESET_AFTER_BYTES }, 'down'),
    heal: async (ground) => ground.node('n1').proxy.heal(),
  },
  {
    name: 'node-flapping',
    what: 'a node is there and gone in turn, 400 ms each',
    signs: ['node:down'],
    inject: async (ground) => {
      const { proxy } = ground.node('n1')
      ground.repeat(FLAP_MS, async (turn) => {
        if (turn % 2 === 1) return proxy.accept()
        proxy.refuse()
        proxy.reset()
      })
    },
    heal: async (ground) => {
      await ground.stopRepeating()
      await ground.node('n1').proxy.heal()
    },
  },
  {
    name: 'client-cut-from-node',
    what: 'one client alone does not reach a node, which others write to and read from',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => (await ground.doorOf('n1', 0)).set({ blackhole: true }),
    heal: async (ground) => (await ground.doorOf('n1', 0)).heal(),
  },
  {
    name: 'client-cut-from-all-nodes',
    what: 'one client alone reaches no node: to it everything looks dead; it is the one that captures changes, so another has to',
    signs: ['cache:bypassed'],
    setting: { captured: true },
    demand: { emptied: true },
    inject: async (ground) => {
      for (const { id } of ground.nodes) (await ground.doorOf(id, 0)).set({ blackhole: true })
    },
    heal: async (ground) => {
      for (const { id } of ground.nodes) await (await ground.doorOf(id, 0)).heal()
    },
  },
]
