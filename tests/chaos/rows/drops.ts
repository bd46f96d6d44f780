/**
 * A network that drops what is sent to a node, what it answers, or both, and lets connections stand.
 */
import type { FaultRow } from '../row.ts'

export const DROP_ROWS: readonly FaultRow[] = [
  {
    name: 'node-blackholed',
    what: 'nothing comes through to a node or from it',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => ground.node('n1').proxy.set({ blackhole: true }),
    heal: async (ground) => ground.node('n1').proxy.heal(),
  },
  {
    name: 'node-unheard',
    what: 'a node hears everything, and its answers are dropped',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => ground.node('n1').proxy.set({ blackhole: true }, 'down'),
    heal: async (ground) => ground.node('n1').proxy.heal(),
  },
  {
    name: 'node-deaf',
    what: 'what is sent to a node is dropped, and its connections stay',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => ground.node('n1').proxy.set({ blackhole: true }, 'up'),
    heal: async (ground) => ground.node('n1').proxy.heal(),
  },
]
