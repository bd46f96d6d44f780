/**
 * A node that answers, and says no.
 */
import { setPriority } from 'node:os'
import type { FaultRow } from '../row.ts'

const LOWEST_PRIORITY = 19
const FOR_EVER = 'while true do end'

export const REFUSAL_ROWS: readonly FaultRow[] = [
  {
    name: 'node-out-of-memory',
    what: 'a node is full and may not evict: it refuses every write',
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => {
      const node = ground.node('n1')
      const used = (await node.figure('used_memory')) ?? 0
      await node.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await node.command('CONFIG', 'SET', 'maxmemory', Math.floor(used / 2))
    },
    heal: async (ground) => ground.node('n1').restoreMemory(),
  },
  {
    name: 'node-readonly',
    what: 'a node has become the replica of nobody: it answers reads, and READONLY to writes',
    signs: ['write:missed', 'node:down'],
    // Port 1: there is nobody to replace what it has.
    inject: async (ground) => void (await ground.node('n1').command('REPLICAOF', '127.0.0.1', 1)),
    heal: async (ground) => void (await ground.node('n1').command('REPLICAOF', 'NO', 'ONE')),
  },
  {
    name: 'node-busy-script',
    what: "a node is busy with somebody's endless script: it answers BUSY to everything",
    signs: ['write:missed', 'node:down'],
    inject: async (ground) => {
      const node = ground.node('n1')
      // It would take a core from everybody else.
      setPriority(node.pid, LOWEST_PRIORITY)
      node.command('EVAL', FOR_EVER, 0).catch(() => {})
    },
    heal: async (ground) => {
      await ground.node('n1').command('SCRIPT', 'KILL')
    },
  },
]
