/**
 * The command line, checked whole before anything starts.
 *
 * Every wrong word is a `UsageError`, which names the option, what it needs and what came; `main.ts` turns it into exit code 2.
 */
import { parseArgs } from 'node:util'
import { harmless } from './shown.ts'
import { UsageError } from './usage-error.ts'

export interface ShopOptions {
  readonly catalogue: string | undefined
  readonly reads: string | undefined
  readonly events: string | undefined
  /** Addresses of running cache nodes; none: the shop starts five of its own. */
  readonly nodes: readonly string[]
  /** Addresses of running databases, one a shard; none: the shop starts three of its own. */
  readonly databases: readonly string[]
  readonly replicas: number
  /** Requests per second that the shoppers aim at; undefined: as fast as the services answer, at bounded concurrency. */
  readonly rate: number | undefined
  readonly seed: number
  /** How long the shoppers shop, ms; undefined: until Ctrl-C. */
  readonly forMs: number | undefined
  readonly json: boolean
}

export const USAGE = `The shop: product, cart and order services on one Ringtail tier, over a sharded PostgreSQL, and shoppers that drive them.

  npm start                      a shop with a generated catalogue, until Ctrl-C
  npm start -- --for 20s --json  the same for 20 seconds, then a report as JSON on stdout

  --catalogue FILE   products, NDJSON, gzip'd or not (catalogue-flipkart or catalogue-online-retail)
  --reads FILE       the order of reads, CSV with the header "type,id,idx" or "key", gzip'd or not
  --events FILE      carts and orders, CSV with the header "ts,op,invoice,sku,qty,unit_price,customer_id,country"
  --nodes URLS       cache nodes that are running, separated by commas: redis://…,redis://…   (default: five of its own)
  --database URLS    databases that are running, one a shard: postgres://…,postgres://…       (default: three of its own)
                     a schema ringtail_shop is made in each, and dropped at the end; one that is there already is not touched
  --replicas N       copies of each cache entry (default: 3)
  --rate R           requests per second that the shoppers aim at (default: as fast as the services answer promptly)
  --seed S           what the generator and the shoppers start from, 0 … 4294967295 (default: 1)
  --for DURATION     how long the shoppers shop: 500ms, 20s, 5m, 1h (default: until Ctrl-C)
  --json             only the final report on stdout, as one JSON object; progress goes to stderr
  --help             this text
`

const KNOWN = {
  catalogue: { type: 'string' },
  reads: { type: 'string' },
  events: { type: 'string' },
  nodes: { type: 'string' },
  database: { type: 'string' },
  replicas: { type: 'string' },
  rate: { type: 'string' },
  seed: { type: 'string' },
  for: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

/** @returns the options, or 'help' when that was asked for @throws UsageError */
export function parseOptions(args: readonly string[]): ShopOptions | 'help' {
  const values = read(args)
  if (values.help === true) return 'help'
  const nodes = urls(values.nodes, '--nodes', ['redis:', 'rediss:'])
  const replicas = whole(values.replicas, '--replicas', 1, 16) ?? 3
  if (nodes.length > 0 && nodes.length < replicas) {
    throw UsageError.of('--nodes', `at least as many nodes as --replicas (${replicas})`, `${nodes.length}`)
  }
  if (nodes.length === 0 && replicas > 5) throw UsageError.of('--replicas', 'at most 5, the number of nodes', `${replicas}`)
  return {
    catalogue: file(values.catalogue, '--catalogue'),
    reads: file(values.reads, '--reads'),
    events: file(values.events, '--events'),
    nodes,
    databases: urls(values.database, '--database', ['postgres:', 'postgresql:']),
    replicas,
    rate: rate(values.rate),
    seed: whole(values.seed, '--seed', 0, 2 ** 32 - 1) ?? 1,
    forMs: duration(values.for, '--for'),
    json: values.json === true,
  }
}

function read(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: KNOWN, strict: true, allowPositionals: false }).values
  } catch (error) {
    const [first] = (error as Error).message.split('. ')
    throw new UsageError(
      `${harmless(first?.replace(/\.$/, '') ?? '')}. Known options: ${Object.keys(KNOWN)
        .map((name) => `--${name}`)
        .join(' ')}`,
    )
  }
}

function file(value: string | undefined, what: string): string | undefined {
  if (value === '') throw UsageError.of(what, 'the name of a file', '""')
  return value
}

function whole(value: string | undefined, what: string, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < min || number > max) throw UsageError.of(what, `a whole number from ${min} to ${max}`, `"${value}"`)
  return number
}

function rate(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (!/^\d+(\.\d+)?$/.test(value) || number < 0.1 || number > 1_000_000) {
    throw UsageError.of('--rate', 'requests per second from 0.1 to 1000000', `"${value}"`)
  }
  return number
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

function duration(value: string | undefined, what: string): number | undefined {
  if (value === undefined) return undefined
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value)
  const ms = match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2]!]!
  if (!(ms >= 100 && ms <= 24 * 3_600_000))
    throw UsageError.of(what, 'a duration from 100ms to 24h such as 500ms, 20s, 5m, 1h', `"${value}"`)
  return ms
}

function urls(value: string | undefined, what: string, protocols: readonly string[]): string[] {
  if (value === undefined) return []
  const parts = value.split(',').map((part) => part.trim())
  for (const part of parts) {
    const url = URL.parse(part)
    if (url === null || !protocols.includes(url.protocol) || url.hostname === '') {
      throw UsageError.of(what, `addresses such as ${protocols[0]}//host:port, separated by commas`, `"${withoutPassword(part)}"`)
    }
  }
  const twice = parts.find((part, index) => parts.indexOf(part) !== index)
  if (twice !== undefined) throw UsageError.of(what, 'each address once', `${withoutPassword(twice)} twice`)
  return parts
}

/** An address as it may be shown: messages end up in logs. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/([^:/@]*):[^@]*@/, '//$1:…@')
}
