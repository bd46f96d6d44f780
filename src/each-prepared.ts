/**
 * A batch in which one bad item is not the others' misfortune: what cannot be prepared fails alone, the rest is worked on together, and
 * the results lie in the order of the items.
 */
import { RingtailError } from './errors.ts'

/**
 * @param prepare may throw a RingtailError for its item; anything else it throws is a fault, and rejects the whole
 * @param work one result for each that was prepared, in order; not called when there is none
 * @param failed the result of an item that could not be prepared
 */
export async function eachPrepared<Item, Prepared, Result>(
  items: readonly Item[],
  prepare: (item: Item) => Prepared,
  work: (prepared: readonly Prepared[]) => Promise<readonly Result[]>,
  failed: (error: RingtailError) => Result,
): Promise<Result[]> {
  const results = new Array<Result>(items.length)
  const prepared: Prepared[] = []
  const positions: number[] = []
  for (const [at, item] of items.entries()) {
    try {
      prepared.push(prepare(item))
      positions.push(at)
    } catch (thrown) {
      if (!(thrown instanceof RingtailError)) throw thrown
      results[at] = failed(thrown)
    }
  }
  const worked = prepared.length === 0 ? [] : await work(prepared)
  for (const [nth, at] of positions.entries()) results[at] = worked[nth]!
  return results
}
