/** The page of benchmarks on disk: `benchmarks.md`, and beside it the folder with its plots and with the report that all is made of. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../harness/report.ts'
import { PLOTS_FOLDER, pageOf } from './page.ts'

/** Takes away plots that are no longer shown. @returns the paths of what it wrote */
export function writePage(report: Report, folder: string): string[] {
  // As it will be read again: without what JSON does not have.
  const text = `${JSON.stringify(report, null, 1)}\n`
  const { markdown, plots } = pageOf(JSON.parse(text))
  const beside = join(folder, PLOTS_FOLDER)
  mkdirSync(beside, { recursive: true })
  for (const name of readdirSync(beside)) if (name.endsWith('.svg')) rmSync(join(beside, name))
  const files = new Map([
    [join(folder, 'benchmarks.md'), markdown],
    [join(beside, 'report.json'), text],
    ...Array.from(plots, ([name, plot]): [string, string] => [join(beside, `${name}.svg`), plot]),
  ])
  for (const [path, content] of files) writeFileSync(path, content)
  return [...files.keys()]
}
