/** Numbers and bars as people read them. */
const grouped = new Intl.NumberFormat('en')

export function count(value: number): string {
  return grouped.format(Math.round(value))
}

export function percent(fraction: number, digits = 1): string {
  return `${(fraction * 100).toFixed(digits)} %`
}

export function milliseconds(ms: number | null): string {
  if (ms === null) return '–'
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}

export function megabytes(bytes: number): string {
  const mb = bytes / 2 ** 20
  return mb < 10 ? `${mb.toFixed(1)} MB` : `${Math.round(mb)} MB`
}

export function clockTime(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`
}

/** @param fraction 0 to 1 */
export function bar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width)
  return '█'.repeat(filled) + '░'.repeat(width - filled)
}

const STEPS = '▁▂▃▄▅▆▇█'

/** The last values as small columns, the highest one full. */
export function columns(values: readonly number[], width: number): string {
  const shown = values.slice(-width)
  const highest = Math.max(1, ...shown)
  return shown.map((value) => STEPS[Math.min(STEPS.length - 1, Math.floor((value / highest) * STEPS.length))]).join('')
}
