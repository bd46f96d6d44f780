/** The probe's thread: a tier and database connections of its own. */
import { parentPort, workerData } from 'node:worker_threads'
import { createTier, memoryNode, redisNode } from 'ringtail'
import { connectShards, disconnectShards } from '../database/shards.ts'
import { openTemporaryJournal } from '../journal/temporary-journal.ts'
import { UndoStack } from '../lifecycle/undo.ts'
import { NODES } from '../nodes/cache-nodes.ts'
import { openCaches } from '../services/caches.ts'
import type { FromProbe, ProbeRoom, ToProbe } from './improvement.ts'
import { operationsOf } from './operations.ts'
import { Probe } from './probe.ts'

const MEMORY_BYTES = 8 * 1024 * 1024

const { nodeUrls, databaseUrls, replicas, productIds } = workerData as ProbeRoom
const nodes =
  nodeUrls === undefined
    ? Array.from({ length: NODES }, (_, index) => memoryNode({ id: `node-${index + 1}`, maxBytes: MEMORY_BYTES }))
    : [...nodeUrls].map(([id, url]) => redisNode(url, { id }))
const tier = await createTier({ nodes, replicas })
const shards = connectShards(databaseUrls)
let recent: { product: string | undefined; user: string | undefined } = { product: undefined, user: undefined }
const undo = new UndoStack()
const caches = openCaches(tier, shards, await openTemporaryJournal(undo))
const probe = new Probe(operationsOf({ caches, shards, productIds, recent: () => recent, sharesNodes: nodeUrls !== undefined }))

parentPort!.on('message', (message: ToProbe) => {
  if (message.kind === 'recent') recent = message
  else probe.stop()
})

parentPort!.postMessage({ kind: 'ready' } satisfies FromProbe)
await probe.run()
parentPort!.postMessage({ kind: 'results', results: probe.results() } satisfies FromProbe)
await tier.close()
await undo.run()
await disconnectShards(shards)
parentPort!.close()
