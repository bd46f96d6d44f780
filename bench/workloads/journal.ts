/**
 * Journal entries: each acknowledged once it is on the disk. What is asked of it is a figure, for there is no peer to be compared with.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

export function journal(inFlight: number, entry: Entry, least: number): Workload {
  return {
    ...entry,
    name: `journal-${inFlight}`,
    title: `journal entries, ${inFlight} in flight`,
    unit: 'entries/s',
    inFlight,
    needsNothing: true,
    least,
    callerOf: (contestant, { keys, products }) => {
      return async (turns) => {
        while (!turns.over) {
          const id = productOfTurn(turns.taken++, keys.length)
          await contestant.set(keys[id]!, products[id]!)
        }
      }
    },
  }
}
