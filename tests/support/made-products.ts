/**
 * Values that have much in common, as a shop's products have: from a seed, so that each run has the same.
 */
import { seededRandom } from '../../src/testing/seeded-random.ts'

export interface MadeProduct {
  readonly id: string
  readonly name: string
}

/** @param kind products of one kind have little in common with those of another: their fields have other names */
export function madeProducts(count: number, seed = 1, kind = 'shirt'): MadeProduct[] {
  const random = seededRandom(seed)
  const of = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const words = Array.from({ length: 60 }, (_, nth) => `${kind}${nth.toString(36).repeat(3)}`)
  return Array.from({ length: count }, () => ({
    id: Math.floor(random() * 1e12).toString(36),
    name: `${of(words)} ${of(words)}`,
    [`${kind}Brand`]: of(words),
    [`${kind}Category`]: [`${kind} of the season`, of(words), of(words)],
    [`${kind}Price`]: { currency: 'INR', retail: Math.floor(random() * 9_000), discounted: null },
    [`${kind}Url`]: `http://shop.example/${kind}/${of(words)}-${of(words)}/p/${Math.floor(random() * 1e9).toString(36)}`,
  }))
}
