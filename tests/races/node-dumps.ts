/**
 * What lies on each node at rest, in the form that `checkReplicas` compares.
 *
 * Left out of the comparison is what one owner may rightly have of its own: the lease in a header, an entry that is nothing but a lease,
 * the measured cost of a load, by which two fills of one row may differ, and until when an entry is fresh: a touch that overtakes its put
 * on the way to one owner prolongs it on the others alone, until a reader of both mends it.
 */
import { isEnvelope, kindOf, payloadStartOf, versionOf } from '../../src/codec/envelope.ts'
import type { CacheNode } from '../../src/index.ts'
import type { NodeDump, RestingEntry } from '../../src/testing/index.ts'

const PATIENT = { timeoutMs: 10_000 }

/** @param nodes connected @param prefix of the keys as they lie on the nodes */
export function dumpNodes(nodes: readonly CacheNode[], prefix: string): Promise<NodeDump[]> {
  return Promise.all(
    nodes.map(async (node) => {
      const entries = new Map<string, RestingEntry>()
      for await (const keys of node.scan(prefix)) {
        const held = await node.getMany(keys, PATIENT)
        for (const [at, bytes] of held.entries()) {
          const entry = bytes === undefined ? undefined : entryOf(bytes)
          if (entry !== undefined) entries.set(keys[at]!, entry)
        }
      }
      return { node: node.id, entries }
    }),
  )
}

function entryOf(bytes: Uint8Array): RestingEntry | undefined {
  if (!isEnvelope(bytes)) return { version: 0n, kind: 'foreign', hash: Buffer.from(bytes).toString('hex') }
  const kind = kindOf(bytes) ?? 'unreadable'
  if (kind === 'vacant') return undefined
  const payload = kind === 'tombstone' ? '' : Buffer.from(bytes.subarray(payloadStartOf(bytes))).toString('hex')
  return { version: versionOf(bytes), kind, hash: payload }
}
