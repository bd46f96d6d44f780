/**
 * A real catalogue, where it is at hand: 20,000 products of Flipkart.
 */
import { seededRandom } from 'ringtail/testing'
import { linesOf, recorded } from './recorded.ts'

export interface FlipkartProduct {
  readonly uniq_id: string
}

const FILE = 'catalogue-flipkart.ndjson.gz'

/** What to say where it is not. */
export const NO_CATALOGUE = `not measured: needs ${FILE} in ../shared/data beside the project, or in the folder that BENCH_DATA names`

/** In an order as shoppers come upon them, which the file's is not: the rich ones are first there. @returns undefined where it is not at hand */
export function flipkartProducts(): FlipkartProduct[] | undefined {
  const [file] = recorded(FILE) ?? []
  if (file === undefined) return undefined
  const random = seededRandom(1)
  const drawn = linesOf(file).map((line): [number, FlipkartProduct] => [random(), JSON.parse(line)])
  return drawn.sort(([a], [b]) => a - b).map(([, product]) => product)
}
