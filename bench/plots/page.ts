/**
 * The page of benchmarks: made of a report and of nothing else, so that it can be made again and compared.
 */
import { machineLine, missedBars, type Report, type Result, type Row, whole } from '../harness/report.ts'
import type { Axis, BarsFigure, CurvesFigure, Figure, Whose } from '../harness/study.ts'
import { barsPlot } from './bars.ts'
import { curvesPlot } from './curves.ts'

export interface Page {
  readonly markdown: string
  /** By name of the file, without its ending. */
  readonly plots: ReadonlyMap<string, string>
}

type Measured = Report['workloads'][number]

/** Where the plots lie, as seen from the page. */
export const PLOTS_FOLDER = 'benchmarks'

export function pageOf(report: Report): Page {
  const plots = new Map<string, string>()
  const shown = (figure: Figure): string => {
    plots.set(figure.name, figure.kind === 'bars' ? barsPlot(figure) : curvesPlot(figure))
    return `![${figure.title}](${PLOTS_FOLDER}/${figure.name}.svg)`
  }
  const parts = [
    '# Benchmarks',
    opening(report),
    expectations(report),
    ...overviews(report).map(shown),
    ...report.workloads.flatMap((workload) => [
      `## ${capital(workload.title)}`,
      shown(rateFigure(report, workload)),
      ...(workload.name === 'hits-256' ? [shown(cpuFigure(report, workload))] : []),
      tableFor(report, workload),
    ]),
    ...report.studies.flatMap(({ title, text, details, figures }) => [
      `## ${capital(title)}`,
      ...figures.map(shown),
      verbatim(text),
      ...(details === undefined ? [] : [`<details>\n<summary>More of it</summary>\n\n${verbatim(details)}\n\n</details>`]),
    ]),
    setUps(report),
  ]
  return { markdown: `${parts.join('\n\n')}\n`, plots }
}

function opening({ command, machine, rounds, doubts, missing }: Report): string {
  const lines = [
    'This page and its plots are made by the benchmark of what it measured; [speed.md](speed.md) says what stands behind the figures. Where calls are',
    'counted, everybody reads and writes the same objects on the same Redis server, each from a process of its own and set up as its own documentation',
    `advises; runs are interleaved, figures are medians of ${rounds} rounds with the lowest and the highest beside them. Studies, from the overhead on,`,
    'have set-ups of their own. Other machines have other figures; what is meant to hold is how they compare.',
  ]
  const facts = [`\`${command}\``, machineLine(machine)]
  const worth = [...doubts, ...missing]
  return [
    lines.join('\n'),
    facts.map((fact) => `- ${fact}`).join('\n'),
    ...(worth.length === 0 ? [] : [`What to doubt:\n\n${worth.map((line) => `- ${line}`).join('\n')}`]),
  ].join('\n\n')
}

function expectations({ rows }: Report): string {
  const judged = rows.filter(({ bar }) => bar !== null)
  const lines = judged.map((row) => {
    const isMet = missedBars([{ ...row, gated: true }]).length === 0
    const [value, lowest, highest] = [row.value, ...row.spread].map((each) => figureOf(each, row))
    return [
      row.gated ? row.name : `${row.name} †`,
      value!,
      `${lowest} – ${highest}`,
      `${row.most === true ? '≤' : '≥'} ${figureOf(row.bar, row)}`,
      isMet ? 'yes' : '**no**',
    ]
  })
  const head = ['what', 'measured', 'lowest – highest', 'expected', 'met']
  const legend = '`a/b` is how many times the figure of `b` that of Ringtail is in `a`. † is reported, and no run fails for it.'
  return `## What is expected\n\n${legend}\n\n${table(head, lines)}`
}

/** What is measured at several sizes of one thing, in one plot each. */
function overviews(report: Report): Figure[] {
  const made = (pattern: RegExp, name: string, title: string, label: string): CurvesFigure[] => {
    const some = report.workloads.flatMap((workload) => {
      const size = pattern.exec(workload.name)?.[1]
      return size === undefined ? [] : [{ workload, size: Number(size) }]
    })
    if (some.length < 2) return []
    const contestants = [...new Set(some.flatMap(({ workload }) => resultsIn(report, workload).map(({ contestant }) => contestant)))]
    const curves = contestants.map((contestant) => ({
      label: contestant,
      whose: whoseOf(contestant, some[0]!.workload),
      points: some
        .flatMap(({ workload, size }) => {
          const result = resultsIn(report, workload).find((each) => each.contestant === contestant)
          return result === undefined ? [] : [[size, result.median] as const]
        })
        .sort(([a], [b]) => a - b),
    }))
    const throughout = curves.filter(({ points }) => points.length === some.length)
    const x: Axis = { label, scale: 'log', ticks: some.map(({ size }) => size).sort((a, b) => a - b) }
    return [{ kind: 'curves', name, title, x, y: { label: some[0]!.workload.unit, scale: 'log' }, curves: throughout }]
  }
  return [
    ...made(/^hits-(\d+)$/, 'hits', 'Hits over Redis by how many are in flight', 'in flight'),
    ...made(/^batch-(\d+)$/, 'batches', 'Reads of many keys by how many a call asks for', 'keys a call'),
  ]
}

function rateFigure(report: Report, workload: Measured): BarsFigure {
  const bars = resultsIn(report, workload).map(({ contestant, median, min, max }) => {
    return { label: contestant, value: median, spread: [min, max] as const, whose: whoseOf(contestant, workload) }
  })
  return { kind: 'bars', name: workload.name, title: capital(workload.title), unit: workload.unit, bars }
}

function cpuFigure(report: Report, workload: Measured): BarsFigure {
  const bars = resultsIn(report, workload)
    .filter(({ cpuUs }) => isFigure(cpuUs))
    .map(({ contestant, cpuUs }) => ({ label: contestant, value: cpuUs, whose: whoseOf(contestant, workload) }))
  const title = `Processor time of the process that asks: ${workload.title}`
  return { kind: 'bars', name: `${workload.name}-cpu`, title, unit: 'µs a call, less is better', bars }
}

function tableFor(report: Report, workload: Measured): string {
  const results = resultsIn(report, workload)
  const base = results.find(({ contestant }) => contestant === workload.reference)
  const lines = results.map(({ contestant, median, min, max, cpuUs, cores }) => [
    contestant,
    whole(median),
    `${whole(min)} – ${whole(max)}`,
    base === undefined ? '' : (median / base.median).toFixed(2),
    isFigure(cpuUs) ? cpuUs.toFixed(1) : '',
    isFigure(cores) ? cores.toFixed(2) : '',
  ])
  return table(['', `median ${workload.unit}`, 'lowest – highest', `× ${workload.reference}`, 'CPU µs', 'cores'], lines)
}

function setUps({ setUps: pages, versions }: Report): string {
  const lines = byName(pages).map(([name, page]) => [name, page.includes('://') ? `<${page}>` : `[${page}](../${page})`])
  const packages = byName(versions).map(([name, version]) => `${name} ${version}`)
  return `## Versions and set-ups\n\n${packages.join(', ')}\n\n${table(['contestant', 'set up as its documentation says'], lines, 2)}`
}

function byName(entries: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1))
}

function resultsIn({ results }: Report, { name }: Measured): Result[] {
  return results.filter(({ workload, median }) => workload === name && isFigure(median))
}

function whoseOf(contestant: string, { ours, limits }: Measured): Whose {
  if (contestant === ours[0]) return 'ours'
  if (limits.includes(contestant)) return 'limit'
  return contestant.startsWith('ringtail') ? 'ours too' : 'peer'
}

function figureOf(value: number | null, { peer, unit }: Row): string {
  if (!isFigure(value)) return 'nothing'
  return peer === null && value >= 1_000 ? `${whole(value)} ${unit}` : `${Number(value.toPrecision(3))}${peer === null ? ` ${unit}` : ''}`
}

/** In a report that was read from a file what is not a number is null. */
function isFigure(value: number | null): value is number {
  return value !== null && Number.isFinite(value)
}

/** @param words how many columns, from the left, are words; the others are figures */
function table(head: readonly string[], lines: readonly (readonly string[])[], words = 1): string {
  const rule = head.map((_, column) => (column < words ? ':--' : '--:'))
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function verbatim(text: string): string {
  return `\`\`\`\n${text}\n\`\`\``
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1)
}
