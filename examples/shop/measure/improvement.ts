/**
 * Each operation straight on the database and through the tier, side by side, while the shop is under load.
 *
 * Ten times a second one operation is carried out both ways, one right after the other, now this one first and now that, by the services'
 * own code. The probe is a thread with connections and a tier of its own to the same nodes and databases, as another instance of the service would be:
 * it shares their load with the shop, but does not wait in line behind the shop's own requests, which would drown what is measured. Nodes in memory belong
 * to one thread; with those the probe runs in the services' own. Products and profiles are those that shoppers have just read; carts are two of the
 * probe's own, as large as the shoppers' (15 lines). Nothing of it is counted as the shop's.
 */
import { Worker } from 'node:worker_threads'
import type { CacheNode } from 'ringtail'
import type { Shard } from '../database/shards.ts'
import { type UndoStack, within } from '../lifecycle/undo.ts'
import type { ShopCaches } from '../services/caches.ts'
import type { ProductPages } from '../services/product-pages.ts'
import type { Profiles } from '../services/profiles.ts'
import { type Improvement, Probe } from './probe.ts'

export interface ProbeRoom {
  readonly nodes: readonly CacheNode[]
  /** Addresses of the nodes by id; undefined: they are in memory. */
  readonly nodeUrls: ReadonlyMap<string, string> | undefined
  readonly databaseUrls: readonly string[]
  readonly replicas: number
  readonly productIds: readonly string[]
}

export interface Probing {
  /** @returns the medians */
  stop(): Promise<Improvement[]>
}

export type ToProbe =
  | { readonly kind: 'recent'; readonly product: string | undefined; readonly user: string | undefined }
  | { readonly kind: 'stop' }

export type FromProbe = { readonly kind: 'ready' } | { readonly kind: 'results'; readonly results: Improvement[] }

const TELL_RECENT_EVERY_MS = 50
const READY_WITHIN_MS = 10_000
const STOP_WITHIN_MS = 3_000

/** Resolves once the probe is measuring. */
export async function startProbe(
  room: ProbeRoom,
  here: { caches: ShopCaches; shards: readonly Shard[]; pages: ProductPages; profiles: Profiles },
  undo: UndoStack,
): Promise<Probing> {
  const recent = () => ({ product: here.pages.recent.any(), user: here.profiles.recent.any() })
  const { nodes: _, nodeUrls, ...rest } = room
  if (nodeUrls === undefined) {
    const probe = new Probe(here.caches, here.shards, room.productIds, recent)
    const running = probe.run()
    return {
      async stop() {
        probe.stop()
        await running
        return probe.results()
      },
    }
  }
  const worker = new Worker(new URL('probe-thread.ts', import.meta.url), { workerData: { ...rest, nodeUrls } })
  const telling = setInterval(() => worker.postMessage({ kind: 'recent', ...recent() } satisfies ToProbe), TELL_RECENT_EVERY_MS)
  undo.add({
    what: 'the probe',
    stop: () => {
      clearInterval(telling)
      return worker.terminate()
    },
  })
  const ready = Promise.withResolvers<void>()
  const results = Promise.withResolvers<Improvement[]>()
  worker.on('message', (message: FromProbe) => {
    if (message.kind === 'ready') ready.resolve()
    else results.resolve(message.results)
  })
  const failed = (error: Error) => {
    ready.reject(error)
    results.reject(error)
  }
  worker.once('error', failed)
  worker.once('exit', () => failed(new Error('the probe ended before it was asked to')))
  results.promise.catch(() => {})
  await within(ready.promise, READY_WITHIN_MS)
  return {
    async stop() {
      clearInterval(telling)
      worker.postMessage({ kind: 'stop' } satisfies ToProbe)
      return await within(results.promise, STOP_WITHIN_MS)
    },
  }
}
