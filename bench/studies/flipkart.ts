/**
 * A real catalogue, where it is at hand: 20,000 products of Flipkart, in `../shared/data` beside the project.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { seededRandom } from 'ringtail/testing'

export interface FlipkartProduct {
  readonly uniq_id: string
}

const PATH = fileURLToPath(new URL('../../../shared/data/catalogue-flipkart.ndjson.gz', import.meta.url))

/** What to say where it is not. */
export const NO_CATALOGUE = 'not measured: needs ../shared/data/catalogue-flipkart.ndjson.gz beside the project'

/** In an order as shoppers come upon them, which the file's is not: the rich ones are first there. @returns undefined where it is not at hand */
export function flipkartProducts(): FlipkartProduct[] | undefined {
  if (!existsSync(PATH)) return undefined
  const lines = gunzipSync(readFileSync(PATH)).toString().trimEnd().split('\n')
  const random = seededRandom(1)
  const drawn = lines.map((line): [number, FlipkartProduct] => [random(), JSON.parse(line)])
  return drawn.sort(([a], [b]) => a - b).map(([, product]) => product)
}
