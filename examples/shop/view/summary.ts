/** The final report in words. */
import type { Report } from '../report/report.ts'
import { harmless } from '../shown.ts'
import { count, megabytes, milliseconds, percent } from './format.ts'

const INDENT = 13

/** @param width of the terminal, in characters */
export function summarize(report: Report, width = 110): string {
  const paragraph = (name: string, text: string) => wrapped(name, text, width)
  const { requests, catalogue, data } = report
  const lines = [
    '',
    ...paragraph(
      'The shop',
      `ran for ${report.seconds.toFixed(1)} s: ${count(requests.total)} requests (${count(requests.perSecond)}/s), ${count(requests.reads)} reads and ${count(requests.writes)} writes, ${count(requests.failed)} failed; availability ${percent(report.availability, 3)}.`,
    ),
    ...paragraph(
      'Data',
      `${count(catalogue.products)} products (catalogue: ${data.catalogue}; ${count(catalogue.generated)} generated, ${count(catalogue.rejected)} lines rejected). Reads: ${data.reads}. Orders: ${data.events}. Reads and orders come from different shops and are joined in order of first appearance.`,
    ),
    ...cacheLines(report, paragraph),
    ...orderLines(report, paragraph),
    '',
    'Straight on the database and through the tier, medians under this load:',
    ...report.improvement.map(({ operation, databaseMs, cacheMs, times, samples, failed }) => {
      return `  ${operation.padEnd(INDENT)} ${milliseconds(databaseMs).padStart(9)} → ${milliseconds(cacheMs).padStart(9)}   ${times.toFixed(1)} times   (${count(samples)} pairs${failed > 0 ? `, ${count(failed)} failed` : ''})`
    }),
    ...paragraph('', 'A cart update is acknowledged by the journal on disk and by its nodes, and comes to the database behind.'),
    '',
    ...paragraph('Nodes', report.nodesAre),
    ...report.nodes.map(({ id, share, entries, usedBytes, maxBytes }) => {
      return `  ${id.padEnd(20)} ${percent(share).padStart(6)} of keys, ${count(entries).padStart(8)} entries, ${megabytes(usedBytes)}${maxBytes > 0 ? ` of ${megabytes(maxBytes)}` : ''}`
    }),
    ...paragraph('Shards', report.databaseIs),
    ...report.shards.map(
      ({ id, rows, queries }) => `  ${id.padEnd(20)} ${count(rows).padStart(9)} rows, ${count(queries).padStart(8)} statements`,
    ),
  ]
  if (report.troubles.length > 0)
    lines.push('', 'What went wrong (the last few):', ...report.troubles.map((trouble) => `  ${harmless(trouble)}`))
  return `${lines.join('\n')}\n`
}

type Paragraph = (name: string, text: string) => string[]

function cacheLines({ hits, latencyMs, database }: Report, paragraph: Paragraph): string[] {
  const { hit, miss } = latencyMs
  return [
    ...paragraph(
      'Hits',
      `${percent(hits.rate, 2)} of ${count(hits.reads)} product pages came from the cache; of the ${count(hits.repeats)} whose product had been read before in this run, ${percent(hits.repeatRate, 2)}. Nothing was loaded ahead.`,
    ),
    ...paragraph(
      'Latency',
      `hit p50 ${milliseconds(hit.p50)}, p99 ${milliseconds(hit.p99)}, p99.9 ${milliseconds(hit.p999)}; miss p50 ${milliseconds(miss.p50)}, p99 ${milliseconds(miss.p99)}, p99.9 ${milliseconds(miss.p999)} (product pages over HTTP, as shoppers see them).`,
    ),
    ...paragraph(
      'Database',
      `${count(database.queries)} statements; at least ${count(database.avoided)} more would have been needed without the caches (${percent(database.avoided / Math.max(1, database.queries + database.avoided))} of both).`,
    ),
  ]
}

function orderLines({ orders, stock, captures }: Report, paragraph: Paragraph): string[] {
  const balance =
    stock.unbalanced === 0
      ? 'for every product it is what accepted orders left of it'
      : `for ${count(stock.unbalanced)} products it is NOT what accepted orders left of it`
  return [
    ...paragraph(
      'Orders',
      `${count(orders.accepted)} accepted (${percent(orders.acceptedRate)}), ${count(orders.refused)} refused for lack of stock. In the database: ${count(orders.stored)} accepted, ${count(orders.duplicated)} of them twice. ${count(orders.sentAgain)} were sent twice; ${orders.answeredOtherwise === 0 ? 'each was answered as the first time' : `${count(orders.answeredOtherwise)} were answered otherwise`}.`,
    ),
    ...paragraph('Stock', `lowest ${count(stock.lowest)}; ${balance}.`),
    ...paragraph('', captureSentence(captures)),
  ]
}

function captureSentence(captures: Report['captures']): string {
  if (captures.length === 0) return 'No shard tells of changes by others.'
  const changes = captures.reduce((sum, each) => sum + each.changes, 0)
  const slowest = captures.reduce<number | null>((most, { p99Ms }) => (p99Ms === null ? most : Math.max(most ?? 0, p99Ms)), null)
  const ways = [...new Set(captures.map(({ mode }) => (mode === 'outbox' ? 'an outbox' : 'the log')))].join(' and ')
  const shards = captures.length === 1 ? '1 shard' : `${captures.length} shards`
  return `${count(changes)} changes of it came by ${ways} of ${shards}${slowest === null ? '' : `, p99 ${milliseconds(slowest)} after their commit`}.`
}

/** Text beside its name, broken between words. */
function wrapped(name: string, text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && INDENT + line.length + word.length >= width) {
      lines.push(line)
      line = ''
    }
    line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].map((each, index) => `${(index === 0 ? name : '').padEnd(INDENT)}${each}`)
}
