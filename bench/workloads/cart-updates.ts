/**
 * Updates of carts, each made from the one before it; after each run a sample is read back, and every update must be in it.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

const SAMPLE = 200

/** By cart: updates acknowledged, in whichever run. Of one contestant, for each has a process of its own. */
const counts = new Map<number, number>()

export function cartUpdates(inFlight: number, entry: Entry): Workload {
  return {
    ...entry,
    name: `cart-updates-${inFlight}`,
    title: `cart updates, ${inFlight} in flight`,
    unit: 'updates/s',
    inFlight,
    needsDatabase: true,
    callerOf: (contestant, { keys }) => {
      return async (turns) => {
        while (!turns.over) {
          const id = productOfTurn(turns.taken++, keys.length)
          await contestant.update!(keys[id]!, (cart) => ({ ...cart, stock: cart.stock + 1 }))
          counts.set(id, (counts.get(id) ?? 0) + 1)
        }
      }
    },
    check: async (contestant, { keys, products }) => {
      const updated = [...counts]
      const step = Math.max(1, Math.floor(updated.length / SAMPLE))
      for (let at = 0; at < updated.length; at += step) {
        const [id, count] = updated[at]!
        const cart = await contestant.get(keys[id]!)
        if (cart?.stock !== products[id]!.stock + count)
          throw new Error(`needed ${count} updates of cart ${id}, but got: ${cart?.stock} from ${products[id]!.stock}`)
      }
    },
  }
}
