/**
 * Writes of whole products with a time to live, each acknowledged before the next; after each run a sample is read back.
 *
 * Ringtail's writes are versioned: a script on the server compares before it writes. The peers' are plain SETs.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'
import { Acknowledged } from './acknowledged.ts'

export function writes(inFlight: number, entry: Entry): Workload {
  const acknowledged = new Acknowledged()
  return {
    ...entry,
    name: `writes-${inFlight}`,
    title: `writes, ${inFlight} in flight`,
    unit: 'sets/s',
    inFlight,
    callerOf: (contestant, catalogue) => {
      const count = catalogue.keys.length
      return async (turns) => {
        while (!turns.over) await acknowledged.write(contestant, catalogue, productOfTurn(turns.taken++, count))
      }
    },
    check: (contestant, catalogue) => acknowledged.check(contestant, catalogue),
  }
}
