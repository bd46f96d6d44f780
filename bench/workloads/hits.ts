/**
 * Reads of what is there: each answer is parsed, and is the product asked for, or the benchmark fails.
 */
import type { Caller } from '../harness/closed-loop.ts'
import type { Contestant } from '../harness/contestant.ts'
import { type Catalogue, JSON_BYTES, productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

/** @param bytes of each object's JSON; of 256 unless the name says so */
export function hits(inFlight: number, entry: Entry, bytes: number = JSON_BYTES): Workload {
  const isUsual = bytes === JSON_BYTES
  return {
    ...entry,
    name: `hits-${inFlight}${isUsual ? '' : `-${bytes / 1024}kb`}`,
    title: `hits${isUsual ? '' : ` of ${bytes / 1024} KB`}, ${inFlight.toLocaleString('en-US')} in flight`,
    unit: 'gets/s',
    inFlight,
    bytes,
    callerOf: hitting,
  }
}

export function hitting(cache: Pick<Contestant, 'get'>, { keys }: Pick<Catalogue, 'keys'>): Caller {
  return async (turns) => {
    while (!turns.over) {
      const id = productOfTurn(turns.taken++, keys.length)
      const product = await cache.get(keys[id]!)
      if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
    }
  }
}
