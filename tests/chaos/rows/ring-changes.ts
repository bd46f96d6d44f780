/**
 * Members that come and go by decision, under load.
 */
import { type Ground, SPARES } from '../ground.ts'
import type { FaultRow } from '../row.ts'

/** What has been drained nobody needs: it is killed once the change is made. */
const killDrained = async (ground: Ground): Promise<void> => ground.node('n1').kill()

export const RING_ROWS: readonly FaultRow[] = [
  {
    name: 'node-added',
    what: 'a sixth node is added',
    setting: { spares: SPARES },
    clients: { do: 'change-ring', add: ['n6'], remove: [] },
    signs: ['topology:changed'],
    demand: { movedAfter: true, mostLoadsTimes: 2 },
  },
  {
    name: 'node-drained',
    what: 'a node is drained and removed, and then killed',
    clients: { do: 'change-ring', add: [], remove: ['n1'] },
    signs: ['topology:changed'],
    demand: { movedAfter: true, mostLoadsTimes: 2 },
    heal: killDrained,
  },
  {
    name: 'node-replaced',
    what: 'another node takes the place of one, which is then killed',
    setting: { spares: SPARES },
    clients: { do: 'change-ring', add: ['n6'], remove: ['n1'] },
    signs: ['topology:changed'],
    demand: { movedAfter: true, mostLoadsTimes: 2 },
    heal: killDrained,
  },
]
