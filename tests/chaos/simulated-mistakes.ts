/**
 * Mistakes that somebody could make, planted one at a time in a row of virtual time: a verdict that finds none of them proves nothing.
 */
import type { CacheNode } from '../../src/node/node.ts'
import { TOPOLOGY_NAME } from '../../src/topology/topology-record.ts'
import { decorated, withLeasesForAll } from '../simulation/decorated-node.ts'
import type { DemandName } from './judge.ts'
import type { SimulatedFaultName } from './simulated-faults.ts'
import type { SimulatedMistake } from './simulated-ground.ts'

interface Planted {
  readonly mistake: SimulatedMistake
  /** Where it shows, and what is missed then: a demand of the real row, or what virtual time alone demands. */
  readonly found: readonly (readonly [row: SimulatedFaultName, by: DemandName | RegExp])[]
}

/** So long is an operator's try, ms. Nobody else applies puts alone with so much time. */
const COPYING_MS = 1_000

export const SIMULATED_MISTAKES: Readonly<Record<string, Planted>> = {
  'nothing is copied to a node that joins': {
    // Who takes the place of one that leaves had the key before.
    found: [
      ['node-added', 'spared'],
      ['node-replaced', 'spared'],
    ],
    mistake: {
      node: (node) =>
        decorated(node, {
          apply: (changes, call) =>
            call?.timeoutMs === COPYING_MS && changes.every(({ op }) => op === 'put')
              ? Promise.resolve(changes.map(() => ({ state: 'applied' })))
              : node.apply(changes, call),
        }),
    },
  },
  'one client does not hear of another ring': {
    found: [
      ['node-added', 'stale'],
      ['node-drained', 'returned'],
      ['node-drained', 'stale'],
      ['node-replaced', 'stale'],
    ],
    mistake: { node: (node, client) => (client === 'c1.0' ? deafToTopology(node) : node) },
  },
  'every client has the lease': {
    found: [
      ['cold-start', /rows that nobody changes were asked for \d+ times/],
      ['hot-key-herd', /the herd's row was asked for \d+ times/],
    ],
    mistake: { server: withLeasesForAll },
  },
  'the journal is lost with its process': {
    found: [['process-killed-with-writes-pending', 'lost']],
    mistake: { killed: (ground, process) => ground.loseDisk(process) },
  },
  'nothing guards the database': {
    found: [['overload-10x', 'requests']],
    mistake: { tier: { stores: false } },
  },
}

function deafToTopology(node: CacheNode): CacheNode {
  return decorated(node, {
    control: {
      get: async (name, call) => (name === TOPOLOGY_NAME ? undefined : node.control.get(name, call)),
      compareAndSet: (name, expected, next, call) => node.control.compareAndSet(name, expected, next, call),
    },
  })
}
