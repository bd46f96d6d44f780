/**
 * A node with something between it and who asks it: where mistakes are planted.
 */
import type { CacheNode, Change, NodeCall, Receiver } from '../../src/node/node.ts'

/** A node but for some of its calls. It answers in its own name: who is told of the one beneath would go on with that one. */
export function decorated(node: CacheNode, other: Partial<CacheNode>): CacheNode {
  const get = other.get ?? node.get.bind(node)
  const change = other.change ?? node.change.bind(node)
  const self: CacheNode = {
    id: node.id,
    zone: node.zone,
    weight: node.weight,
    label: node.label,
    engine: node.engine,
    get control() {
      return node.control
    },
    connect: (parts) => node.connect(parts),
    getMany: (keys, call) => node.getMany(keys, call),
    apply: (changes, call) => node.apply(changes, call),
    lease: (asks, call) => node.lease(asks, call),
    run: (script, keys, args, call) => node.run(script, keys, args, call),
    watch: (prefixes, watcher) => node.watch(prefixes, watcher),
    scan: (prefix, options) => node.scan(prefix, options),
    stats: (call) => node.stats(call),
    ping: (call) => node.ping(call),
    close: () => node.close(),
    ...other,
    get: (key, receiver, call) => {
      const named = {
        answered: (bytes, _) => receiver.answered(bytes, self),
        failed: (error, _) => receiver.failed(error, self),
      } as Receiver
      get(key, named, call)
    },
    change: (each, receiver, call) => change(each, { settled: (status) => receiver.settled(status, self) }, call),
  }
  return self
}

/** A node that takes other changes than it is given. */
export function withChanges(node: CacheNode, bent: (change: Change) => Change): CacheNode {
  return decorated(node, {
    change: (change, receiver, call) => node.change(bent(change), receiver, call),
    apply: (changes: readonly Change[], call?: NodeCall) => node.apply(changes.map(bent), call),
  })
}

/** Whoever asks for a lease has it. */
export function withLeasesForAll(engine: CacheNode): CacheNode {
  return decorated(engine, {
    lease: (asks, call) =>
      engine.lease(
        asks.map((ask) => ({ ...ask, force: true })),
        call,
      ),
  })
}
