/** The probe's thread: a tier and database connections of its own, to the shop's nodes and databases. */
import { parentPort, workerData } from 'node:worker_threads'
import { createTier, redisNode } from 'ringtail'
import { connectShards, disconnectShards } from '../database/shards.ts'
import { openCaches } from '../services/caches.ts'
import type { FromProbe, ProbeRoom, ToProbe } from './improvement.ts'
import { Probe } from './probe.ts'

const room = workerData as Omit<ProbeRoom, 'nodes'>
const nodes = [...(room.nodeUrls ?? [])].map(([id, url]) => redisNode(url, { id }))
const tier = await createTier({ nodes, replicas: room.replicas })
const shards = connectShards(room.databaseUrls)
let recent: { product: string | undefined; user: string | undefined } = { product: undefined, user: undefined }
const probe = new Probe(openCaches(tier, shards), shards, room.productIds, () => recent)

parentPort!.on('message', (message: ToProbe) => {
  if (message.kind === 'recent') recent = message
  else probe.stop()
})

parentPort!.postMessage({ kind: 'ready' } satisfies FromProbe)
await probe.run()
parentPort!.postMessage({ kind: 'results', results: probe.results() } satisfies FromProbe)
await tier.close()
await disconnectShards(shards)
parentPort!.close()
