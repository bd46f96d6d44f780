/**
 * A node that is there and does not answer, or too late: what no connection error tells.
 */
import type { FaultRow } from '../row.ts'

const LATENCY_MS = 200

export const SILENCE_ROWS: readonly FaultRow[] = [
  {
    name: 'node-stopped',
    what: 'a node gets SIGSTOP: it takes connections, and answers nothing',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => ground.node('n1').pause(),
    heal: async (ground) => ground.node('n1').resume(),
  },
  {
    name: 'node-slow',
    what: 'every answer of a node comes 200 ms later',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => ground.node('n1').proxy.set({ latencyMs: LATENCY_MS }, 'down'),
    heal: async (ground) => ground.node('n1').proxy.heal(),
  },
]
