/**
 * Nine reads and a write, again and again; other products are written each time round. After each run a sample of the writes is read back.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'
import { Acknowledged } from './acknowledged.ts'

const TURNS_A_WRITE = 10

export function mixed(inFlight: number, entry: Entry): Workload {
  const acknowledged = new Acknowledged()
  return {
    ...entry,
    name: `mixed-${inFlight}`,
    title: `90 % reads and 10 % writes, ${inFlight} in flight`,
    unit: 'calls/s',
    inFlight,
    callerOf: (contestant, catalogue) => {
      const { keys } = catalogue
      return async (turns) => {
        while (!turns.over) {
          const turn = turns.taken++
          const id = productOfTurn(turn, keys.length)
          if ((turn + Math.floor(turn / keys.length)) % TURNS_A_WRITE === 0) await acknowledged.write(contestant, catalogue, id)
          else {
            const product = await contestant.get(keys[id]!)
            if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
          }
        }
      }
    },
    check: (contestant, catalogue) => acknowledged.check(contestant, catalogue),
  }
}
