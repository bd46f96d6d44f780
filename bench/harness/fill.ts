/** Puts a catalogue into a contestant's cache, many at once. */
import type { Contestant } from './contestant.ts'
import type { Catalogue } from './products.ts'

const IN_FLIGHT = 64

export async function fill(contestant: Contestant, { keys, products }: Catalogue): Promise<void> {
  let next = 0
  const filler = async (): Promise<void> => {
    while (next < keys.length) {
      const at = next++
      await contestant.set(keys[at]!, products[at]!)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, filler))
}
