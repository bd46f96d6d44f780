/**
 * Each operation straight on the database and through the tier, side by side, while the shop is under load.
 *
 * Ten times a second one operation is carried out both ways, one right after the other, now this one first and now that, by the services'
 * own code. The probe is a thread with connections and a tier of its own to the same nodes and databases, as another instance of the
 * service would be: it shares their load with the shop, but neither of the two ways waits in line behind the shop's own requests, which
 * would drown what is measured. Nodes in memory belong to one thread: where the shop has such, the probe has as many of its own, and reads
 * once, unmeasured, what shoppers have just read. Carts are two of the probe's own, as large as the shoppers' (15 lines). Nothing of it is
 * counted as the shop's.
 */
import { Worker } from 'node:worker_threads'
import { type UndoStack, within } from '../lifecycle/undo.ts'
import type { ProductPages } from '../services/product-pages.ts'
import type { Profiles } from '../services/profiles.ts'
import type { Improvement } from './probe.ts'

export interface ProbeRoom {
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

/** Resolves once the probe is measuring. @param here tells what shoppers have just read */
export async function startProbe(
  room: ProbeRoom,
  here: { readonly pages: ProductPages; readonly profiles: Profiles },
  undo: UndoStack,
): Promise<Probing> {
  const recent = () => ({ product: here.pages.recent.any(), user: here.profiles.recent.any() })
  const worker = new Worker(new URL('probe-thread.ts', import.meta.url), { workerData: room })
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
