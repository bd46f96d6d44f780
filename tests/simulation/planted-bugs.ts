/**
 * Mistakes that somebody could make, planted one at a time: what finds none of them proves nothing.
 *
 * Each stands between the simulation and one part of it (a server's state, a client's view of a node, the database), so the code under test
 * is the production code in every run. `rules` are the checks of which at least one must report it.
 */
import {
  encodeEnvelope,
  freshUntilOf,
  graceOf,
  isEnvelope,
  kindOf,
  OFFSET,
  payloadEndOf,
  payloadStartOf,
  versionOf,
} from '../../src/codec/envelope.ts'
import type { CacheNode, Change, Receiver, Status } from '../../src/node/node.ts'
import type { Loaded, Save, Store } from '../../src/store/store.ts'
import type { Rule } from './checks.ts'
import { decorated, withChanges, withLeasesForAll } from './decorated-node.ts'
import type { Value } from './truth.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface ClientTools {
  readonly time: VirtualTime
  readonly client: string
  /** This client's view of every node, as it is without the bug. */
  readonly nodes: readonly CacheNode[]
  readonly ownersOf: (key: string) => readonly string[]
}

export interface PlantedBug {
  readonly rules: readonly Rule[]
  /** Between a server and its state. Must act before it returns. */
  readonly server?: (engine: CacheNode) => CacheNode
  readonly client?: (node: CacheNode, tools: ClientTools) => CacheNode
  /** Between every client and the database. */
  readonly store?: (database: Store<Value>) => Store<Value>
  /** What a session's token becomes on its way from one process to another. */
  readonly token?: (token: string) => string
  /** Between one client and its way to the database. */
  readonly storeOfClient?: (store: Store<Value>, tools: Pick<ClientTools, 'time' | 'client'>) => Store<Value>
}

export const PLANTED_BUGS = {
  'version check off': {
    rules: ['overtaken'],
    server: (engine) =>
      withChanges(engine, (change) =>
        change.op === 'put' ? { op: 'set', key: change.key, bytes: change.bytes, ttlMs: change.ttlMs } : change,
      ),
  },
  'tombstone turned to drop': {
    rules: ['backwards', 'overtaken'],
    server: (engine) =>
      withChanges(engine, (change) =>
        change.op === 'put' && isEnvelope(change.bytes) && kindOf(change.bytes) === 'tombstone' ? { op: 'drop', key: change.key } : change,
      ),
  },
  'acknowledged before the first owner has it': {
    rules: ['overtaken', 'unacknowledged'],
    client: (node, { time, client, ownersOf }) => {
      const isEarly = (change: Change): boolean =>
        change.op === 'put' && change.expected === undefined && ownersOf(change.key)[0] === node.id
      return decorated(node, {
        apply: (changes, call) => {
          if (!changes.every(isEarly)) return node.apply(changes, call)
          time.schedule(40, client, 'at last', () => void node.apply(changes, call))
          return Promise.resolve(changes.map((): Status => ({ state: 'applied' })))
        },
        change: (change, receiver, call) => {
          if (!isEarly(change)) return node.change(change, receiver, call)
          time.schedule(40, client, 'at last', () => node.change(change, { settled: () => {} }, call))
          receiver.settled({ state: 'applied' }, node)
        },
      })
    },
  },
  'missed changes told as applied': {
    rules: ['overtaken', 'unacknowledged'],
    client: (node) =>
      decorated(node, {
        apply: async (changes, call) => {
          const statuses = await node.apply(changes, call)
          return statuses.map((status): Status => (status.state === 'refused' ? status : { state: 'applied' }))
        },
        change: (change, receiver, call) => {
          const settled = (status: Status): void => receiver.settled(status.state === 'refused' ? status : { state: 'applied' }, node)
          node.change(change, { settled }, call)
        },
      }),
  },
  'read repair brings back what was deleted': {
    rules: ['backwards', 'overtaken', 'outlived'],
    client: (node, { nodes, ownersOf }) =>
      decorated(node, {
        // Whatever one owner has is put on those that have no value, tombstone or not.
        get: (key, receiver, call) => node.get(key, repairing(key, receiver, nodes, ownersOf(key)), call),
      }),
  },
  'nothing is mended': {
    rules: ['apart'],
    client: (node) =>
      decorated(node, {
        // Copies that read repair makes are the only single puts with a time of their own.
        change: (change, receiver, call) =>
          change.op === 'put' && change.issuedMs !== undefined
            ? receiver.settled({ state: 'applied' }, node)
            : node.change(change, receiver, call),
      }),
  },
  'changes are not heard': {
    rules: ['overtaken'],
    client: (node) =>
      decorated(node, {
        watch: (prefixes, { lost }) => node.watch(prefixes, { changed: () => {}, lost }),
      }),
  },
  'a session that demands nothing': {
    rules: ['session'],
    token: () => '',
  },
  'equal versions ordered the other way': {
    rules: ['backwards'],
    server: (engine) => reversed(engine),
  },
  'fill without lease check': {
    rules: ['lease'],
    server: (engine) => withChanges(engine, (change) => (change.op === 'put' ? { ...change, lease: undefined } : change)),
  },
  'lease granted to all': { rules: ['lease'], server: withLeasesForAll },
  'compare-and-set without comparing': {
    rules: ['lost update'],
    server: (engine) =>
      withChanges(engine, (change) =>
        change.op === 'put' && change.expected !== undefined
          ? { op: 'set', key: change.key, bytes: change.bytes, ttlMs: change.ttlMs }
          : change,
      ),
  },
  'fresh for ten times as long': {
    rules: ['outlived'],
    client: (node) => withChanges(node, prolonged),
  },
  'a call that nobody ends': {
    rules: ['hung', 'late'],
    client: (node) =>
      decorated(node, {
        get: (key, receiver, call) => node.get(key, { answered: (bytes, from) => receiver.answered(bytes, from), failed: () => {} }, call),
      }),
  },
  'the store answers before it commits': {
    rules: ['unsaved'],
    storeOfClient: (store, { time, client }) =>
      withSaves(store, async (saves, call) => {
        time.schedule(20, client, 'at last', () => void store.save(saves, call))
        return saves.map(({ floor }) => ({ state: 'saved' as const, version: floor }))
      }),
  },
  'the store saves without comparing': {
    rules: ['lost update'],
    store: (database) => withSaves(database, (saves) => database.save(saves.map(({ expected: _, ...save }) => save))),
  },
  'loads read a replica that lags': {
    rules: ['old load', 'old refresh', 'overtaken'],
    store: (database) => lagging(database),
  },
} satisfies Readonly<Record<string, PlantedBug>>

export type BugName = keyof typeof PLANTED_BUGS

/** Of two entries of one version the one that is fresh for less long stays. */
function reversed(engine: CacheNode): CacheNode {
  const isShorter = (change: Change, held: Uint8Array | undefined): change is Extract<Change, { op: 'put' }> =>
    change.op === 'put' &&
    held !== undefined &&
    isEnvelope(held) &&
    versionOf(held) === versionOf(change.bytes) &&
    freshUntilOf(change.bytes) < freshUntilOf(held)
  return decorated(engine, {
    apply: (changes) =>
      engine.apply(
        changes.map((change) => {
          const held: (Uint8Array | undefined)[] = []
          engine.get(change.key, { answered: (bytes) => held.push(bytes), failed: () => {} })
          return isShorter(change, held[0]) ? { op: 'set', key: change.key, bytes: change.bytes, ttlMs: change.ttlMs } : change
        }),
      ),
  })
}

function repairing(key: string, receiver: Receiver, nodes: readonly CacheNode[], owners: readonly string[]): Receiver {
  return {
    failed: (error, from) => receiver.failed(error, from),
    answered: (bytes, from) => {
      receiver.answered(bytes, from)
      if (bytes === undefined || kindOf(bytes) !== 'value') return
      for (const other of nodes) {
        if (other.id === from.id || !owners.includes(other.id)) continue
        const put = (held: Uint8Array | undefined): void => {
          if (held === undefined || kindOf(held) !== 'value') void other.apply([{ op: 'set', key, bytes, ttlMs: 2_000 }])
        }
        other.get(key, { answered: put, failed: () => {} })
      }
    },
  }
}

function prolonged(change: Change): Change {
  if (change.op !== 'put' || kindOf(change.bytes) !== 'value') return change
  const { bytes, ttlMs } = change
  const header = {
    kind: 'value',
    codec: bytes[OFFSET.codec]!,
    version: versionOf(bytes),
    freshUntilMs: freshUntilOf(bytes) + 9 * ttlMs,
    graceMs: graceOf(bytes),
    loadCostMs: 0,
    begun: new DataView(bytes.buffer, bytes.byteOffset).getUint32(OFFSET.begun),
  } as const
  const meta = bytes.subarray(OFFSET.metaLength + 2, payloadStartOf(bytes))
  return { ...change, bytes: encodeEnvelope(header, meta, bytes.subarray(payloadStartOf(bytes), payloadEndOf(bytes))), ttlMs: 10 * ttlMs }
}

function withSaves(database: Store<Value>, save: Store<Value>['save']): Store<Value> {
  return {
    name: database.name,
    versioned: database.versioned,
    load: (keys, call) => database.load(keys, call),
    save: (saves: readonly Save<Value>[], call) => save(saves, call),
    remove: (removals, call) => database.remove(removals, call),
    stats: () => database.stats(),
  }
}

/** Every load answers what the load before it would have answered. */
function lagging(database: Store<Value>): Store<Value> {
  const before = new Map<string, Loaded<Value>>()
  return {
    ...withSaves(database, (saves, call) => database.save(saves, call)),
    load: async (keys, call) => {
      const loaded = await database.load(keys, call)
      const name = keys.join(' ')
      const old = before.get(name) ?? loaded
      before.set(name, loaded)
      return old
    },
  }
}
