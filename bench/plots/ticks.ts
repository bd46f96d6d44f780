/** Where an axis is marked, and with what. */

/** Round numbers from 0 to the first at or above the highest. */
export function linearTicks(highest: number, about = 5): number[] {
  if (!(highest > 0)) return [0, 1]
  const rough = highest / about
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((each) => each >= rough) ?? 10 * power
  return Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, nth) => nth * step)
}

/** 1, 2 and 5 times the powers of ten, from the last at or below the lowest to the first at or above the highest. */
export function logTicks(lowest: number, highest: number): number[] {
  const all: number[] = []
  for (let power = Math.floor(Math.log10(lowest)); power <= Math.ceil(Math.log10(highest)); power++) {
    for (const times of [1, 2, 5]) all.push(Number((times * 10 ** power).toPrecision(1)))
  }
  const first = all.findLastIndex((each) => each <= lowest)
  const last = all.findIndex((each) => each >= highest)
  return all.slice(Math.max(0, first), last + 1)
}

/** `1.5 M`, `250 k`, `0.2`. */
export function short(value: number): string {
  const [scaled, unit] = value >= 1e6 ? [value / 1e6, ' M'] : value >= 1e4 ? [value / 1e3, ' k'] : [value, '']
  return `${Number(scaled.toPrecision(unit === '' ? 4 : 3)).toLocaleString('en-US', { maximumFractionDigits: 4 })}${unit}`
}
