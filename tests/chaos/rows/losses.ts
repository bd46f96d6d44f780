/**
 * Nodes that die, at `maxmemory` with eviction on, and come back empty.
 */
import type { Ground } from '../ground.ts'
import type { FaultRow } from '../row.ts'

const killed = (...ids: readonly string[]): Pick<FaultRow, 'inject' | 'heal'> => ({
  inject: async (ground) => void (await Promise.all(ids.map((id) => ground.node(id).kill()))),
  heal: async (ground) => void (await Promise.all(ids.map((id) => ground.node(id).restart()))),
})

const every = (work: (ground: Ground, id: string) => Promise<void>) => async (ground: Ground) =>
  void (await Promise.all(ground.nodes.map(({ id }) => work(ground, id))))

export const LOSS_ROWS: readonly FaultRow[] = [
  {
    name: 'node-killed',
    what: 'a node gets SIGKILL, and comes back empty',
    signs: ['node:down'],
    setting: { full: true },
    demand: { emptiedAfter: true, mostDip: 0.05 },
    ...killed('n1'),
  },
  {
    name: 'two-nodes-killed',
    what: 'two nodes of five, in different zones, get SIGKILL at once',
    signs: ['node:down'],
    setting: { full: true },
    demand: { emptiedAfter: true, mostDip: 0.05 },
    ...killed('n1', 'n3'),
  },
  {
    name: 'zone-killed',
    what: 'all nodes of a zone get SIGKILL at once',
    signs: ['node:down'],
    setting: { full: true },
    demand: { emptiedAfter: true, mostDip: 0.05 },
    ...killed('n1', 'n2'),
  },
  {
    name: 'all-nodes-killed',
    what: 'every node gets SIGKILL at once: the database has to answer everything',
    signs: ['cache:bypassed'],
    setting: { full: true },
    demand: { emptied: true },
    inject: every((ground, id) => ground.node(id).kill()),
    heal: every((ground, id) => ground.node(id).restart()),
  },
]
