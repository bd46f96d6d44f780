/**
 * What goes wrong, as a table: adding a fault is adding an entry.
 *
 * Each lasts for a while and is then undone; what it did to the state of nodes stays. The world that a fault is done to is the contract
 * below, so that faults know nothing of how it is built.
 */
import type { Refusing, Restart } from './sim-server.ts'

export interface FaultyWorld {
  /** One connection's two directions, as `client` and `node` see each other. */
  block(client: number, node: number, way: 'out' | 'in'): void
  /** @param delivers whether what was held arrives late; else the connection breaks */
  open(client: number, node: number, way: 'out' | 'in', delivers: boolean): void
  breakConnection(client: number, node: number): void
  crash(node: number): void
  restart(node: number, how: Restart): void
  /** Remembers the node's state for a later stale restart. */
  saveState(node: number): void
  evict(node: number, share: number): void
  refuse(node: number, what: Refusing | undefined): void
  pauseNode(node: number, forMs: number): void
  pauseClient(client: number, forMs: number): void
  jumpWall(client: number, byMs: number): void
  worsenStore(unansweredPercent: number, refusedPercent: number, slowPercent: number): void
  /** @param meanMs undefined: as planned */
  slowStore(meanMs: number | undefined): void
  readonly clients: number
}

export interface FaultSpot {
  readonly node: number
  readonly client: number
  readonly forMs: number
  /** Between 0 and 1. */
  readonly drawn: number
}

export interface Fault {
  readonly begin: (world: FaultyWorld, spot: FaultSpot) => void
  /** After `forMs`. */
  readonly end: (world: FaultyWorld, spot: FaultSpot) => void
}

const nothing = (): void => {}
const restart = (how: Restart): Fault => ({
  begin: (world, { node }) => world.crash(node),
  end: (world, { node }) => world.restart(node, how),
})
const eachClient = (world: FaultyWorld, work: (client: number) => void): void => {
  for (let client = 0; client < world.clients; client++) work(client)
}

/** A pause is shorter than other faults: a process that stands for seconds is one that is dead. */
const PAUSE_SHARE = 0.3
/** Mean of either way to the database: both together stay within a load's deadline. */
const SLOW_STORE_MS = 75
const WORST_JUMP_MS = 1_500

export const FAULTS = {
  /** One client's requests to one node do not arrive. */
  'requests held': {
    begin: (world, { client, node }) => world.block(client, node, 'out'),
    end: (world, { client, node, drawn }) => world.open(client, node, 'out', drawn < 0.6),
  },
  /** One client does not hear one node, which does what it is asked. */
  'replies held': {
    begin: (world, { client, node }) => world.block(client, node, 'in'),
    end: (world, { client, node, drawn }) => world.open(client, node, 'in', drawn < 0.6),
  },
  /** Nobody reaches the node, or nobody hears it. */
  'node cut off': {
    begin: (world, { node, drawn }) => eachClient(world, (client) => world.block(client, node, drawn < 0.5 ? 'out' : 'in')),
    end: (world, { node, drawn }) =>
      eachClient(world, (client) => world.open(client, node, drawn < 0.5 ? 'out' : 'in', (drawn * 10) % 1 < 0.5)),
  },
  'connection broken': {
    begin: (world, { client, node }) => world.breakConnection(client, node),
    end: nothing,
  },
  'crash, state kept': restart('intact'),
  'crash, restart empty': restart('empty'),
  'crash, restart stale': {
    begin: (world, { node }) => world.saveState(node),
    end: (world, { node }) => {
      world.crash(node)
      world.restart(node, 'stale')
    },
  },
  'entries evicted': {
    begin: (world, { node, drawn }) => world.evict(node, 0.2 + 0.8 * drawn),
    end: nothing,
  },
  'node slow': {
    begin: (world, { node, forMs }) => world.pauseNode(node, forMs),
    end: nothing,
  },
  'client paused': {
    begin: (world, { client, forMs }) => world.pauseClient(client, forMs * PAUSE_SHARE),
    end: nothing,
  },
  'wall clock set': {
    begin: (world, { client, drawn }) => world.jumpWall(client, Math.round((drawn - 0.5) * 2 * WORST_JUMP_MS)),
    end: nothing,
  },
  'store unwell': {
    begin: (world, { drawn }) => world.worsenStore(drawn * 40, (1 - drawn) * 60, drawn * 50),
    end: (world) => world.worsenStore(0, 0, 0),
  },
} satisfies Readonly<Record<string, Fault>>

/** What is never drawn, so that old seeds stay what they were: rows of the chaos table ask for them. */
export const ORDERED_FAULTS = {
  'changes refused': refusing('changes'),
  'no room': refusing('room'),
  'everything refused': refusing('all'),
  'store silent': {
    begin: (world) => world.worsenStore(100, 0, 0),
    end: (world) => world.worsenStore(0, 0, 0),
  },
  'store refuses': {
    begin: (world) => world.worsenStore(0, 100, 0),
    end: (world) => world.worsenStore(0, 0, 0),
  },
  'store slow': {
    begin: (world) => world.slowStore(SLOW_STORE_MS),
    end: (world) => world.slowStore(undefined),
  },
} satisfies Readonly<Record<string, Fault>>

/** Every fault by its name. */
export const ALL_FAULTS: Readonly<Record<FaultName, Fault>> = { ...FAULTS, ...ORDERED_FAULTS }
export type FaultName = keyof typeof FAULTS | keyof typeof ORDERED_FAULTS

function refusing(what: Refusing): Fault {
  return {
    begin: (world, { node }) => world.refuse(node, what),
    end: (world, { node }) => world.refuse(node, undefined),
  }
}
