/**
 * The rows of a run as a table for people and as an object for programs.
 */
import type { RowReport, RowVerdict } from './judge.ts'

const HEAD = ['row', 'ok', 'requests', 'failed', 'success', 'p99.9 ms', 'recovery ms', 'stale', 'lost', 'why'] as const
const WHY_WIDTH = 160

export function tableOf(rows: readonly RowReport[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)]
  const widths = HEAD.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  const isText = (column: number): boolean => column < 2 || column === HEAD.length - 1
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
  return cells.map(line).join('\n')
}

/** Exactly what `--json` promises. */
export function reportOf({ name, ok, requests, failed, success, p999Ms, recoveryMs, stale, lost, why }: RowVerdict): RowReport {
  return { name, ok, requests, failed, success, p999Ms, recoveryMs, stale, lost, why }
}

function cellsOf({ name, ok, requests, failed, success, p999Ms, recoveryMs, stale, lost, why }: RowReport): string[] {
  const text = why.length > WHY_WIDTH ? `${why.slice(0, WHY_WIDTH - 1)}…` : why
  if (requests === 0) return [name, ok ? 'yes' : 'NO', '', '', '', '', '', '', '', text]
  const share = `${(success * 100).toFixed(3)} %`
  const ms = (value: number | null): string => (value === null ? '–' : value.toFixed(value < 10 ? 1 : 0))
  return [name, ok ? 'yes' : 'NO', `${requests}`, `${failed}`, share, ms(p999Ms), ms(recoveryMs), `${stale}`, `${lost}`, text]
}
