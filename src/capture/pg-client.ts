/**
 * Connections of our own to a database: loaded when first needed, from the packages `pg` and `pg-logical-replication`, which are optional.
 *
 * Both are typed by what is used of them. Of `pg-logical-replication` that is what reads the log's messages (pgoutput): its own service
 * acknowledges what it has received, and we only what the nodes have.
 */
import { createRequire } from 'node:module'
import type { Clock } from '../clock.ts'
import { ConfigurationError } from '../errors.ts'
import type { TextRow } from '../store/postgres-query.ts'

/** What is used of `pg`'s Client. */
export interface PgClient {
  connect(): Promise<unknown>
  query(query: string | { text: string; values?: unknown[]; query_timeout?: number }): Promise<{ rows: Record<string, unknown>[] }>
  end(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  readonly connection: PgConnection
}

/** What of it only replication uses: the stream below the client. */
export interface PgConnection {
  once(event: 'replicationStart', listener: () => void): unknown
  on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): unknown
  sendCopyFromChunk(chunk: Buffer): void
  readonly stream: { pause(): unknown; resume(): unknown; destroy(): unknown }
}

export type DatabaseConfig = string | Readonly<Record<string, unknown>>

interface Pg {
  readonly Client: new (config: Readonly<Record<string, unknown>>) => PgClient
}

export interface ReplicatedColumn {
  readonly name: string
  /** 1: part of the replica identity. */
  readonly flags: number
  readonly typeOid: number
  parser: (text: string) => unknown
}

export interface ReplicatedRelation {
  readonly relationOid: number
  readonly schema: string
  readonly name: string
  readonly columns: readonly ReplicatedColumn[]
}

/** By column, as text; null; undefined: it is large, did not change and is not told. */
export type ColumnTexts = Readonly<Record<string, string | null | undefined>>

/** The messages of pgoutput that are used. */
export type LogMessage =
  /** `xid`: the low 32 bits of the transaction's number. */
  | { readonly tag: 'begin'; readonly commitLsn: string; readonly commitTime: bigint; readonly xid: number }
  | ({ readonly tag: 'relation' } & ReplicatedRelation)
  | { readonly tag: 'insert'; readonly relation: ReplicatedRelation; readonly new: ColumnTexts }
  | {
      readonly tag: 'update'
      readonly relation: ReplicatedRelation
      readonly key: ColumnTexts | null
      readonly old: ColumnTexts | null
      readonly new: ColumnTexts
    }
  | { readonly tag: 'delete'; readonly relation: ReplicatedRelation; readonly key: ColumnTexts | null; readonly old: ColumnTexts | null }
  | { readonly tag: 'truncate'; readonly relations: readonly (ReplicatedRelation | undefined)[] }
  | { readonly tag: 'commit'; readonly commitEndLsn: string; readonly commitTime: bigint }
  | { readonly tag: 'origin' | 'type' | 'message' }

interface LogPlugin {
  parse(bytes: Buffer): LogMessage
  start(client: PgClient, slot: string, lsn: string): Promise<unknown>
}

interface PgLogicalReplication {
  readonly PgoutputPlugin: new (options: { protoVersion: 1; publicationNames: string[] }) => LogPlugin
}

const CONNECT_WITHIN_MS = 5_000
/** Of an answer: a connection whose other end is gone says nothing. */
const ANSWER_WITHIN_MS = 15_000
/** Of saying good-bye. */
const END_WITHIN_MS = 1_000
const asSent = (text: string): string => text

/**
 * @param extra beside what the caller's own configuration says; `options`, settings of the session, after the caller's own, so that both hold
 * and of one setting ours @throws ConfigurationError when `pg` is not installed
 */
export function pgClient(database: DatabaseConfig, extra: Readonly<Record<string, unknown>> = {}): PgClient {
  const { Client } = load<Pg>('pg')
  const own: Readonly<Record<string, unknown>> = typeof database === 'string' ? { connectionString: database } : database
  const [connectionString, ofUrl] = apartFromOptions(own.connectionString)
  // Dates are read as ISO spells them, whatever the database has been told to write.
  const options = [ofUrl ?? own.options ?? process.env.PGOPTIONS, '-c datestyle=ISO', extra.options].filter(Boolean).join(' ')
  const client = new Client({
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    keepAlive: true,
    application_name: 'ringtail-capture',
    ...own,
    ...(connectionString !== undefined && { connectionString }),
    ...extra,
    options,
  })
  // Whoever asks it is told as well; without a listener it would end the process.
  client.on('error', () => {})
  return client
}

/** A URL's own `options` would take the place of all others. @returns the URL without them, and them */
function apartFromOptions(url: unknown): [url: unknown, options: string | undefined] {
  if (typeof url !== 'string' || !/[?&]options=/.test(url) || !URL.canParse(url)) return [url, undefined]
  const parsed = new URL(url)
  const options = parsed.searchParams.get('options') ?? undefined
  parsed.searchParams.delete('options')
  return [parsed.href, options]
}

/** Reads the log's messages, with every column as the text that the database sent. @throws ConfigurationError when the package is not installed */
export function pgoutput(publication: string): LogPlugin {
  const { PgoutputPlugin } = load<PgLogicalReplication>('pg-logical-replication')
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [publication] })
  return {
    start: (client, slot, lsn) => plugin.start(client, slot, lsn),
    parse(bytes) {
      const message = plugin.parse(bytes)
      // Parsers set on the caller's `pg` would change what is cached.
      if (message.tag === 'relation') for (const column of message.columns) column.parser = asSent
      return message
    },
  }
}

/** @param withinMs bound of the answer; by default 15 s @returns rows of text @throws what the database says, or that it says nothing */
export async function askRows(
  client: PgClient,
  text: string,
  values: readonly unknown[] = [],
  withinMs: number = ANSWER_WITHIN_MS,
): Promise<TextRow[]> {
  const types = { getTypeParser: () => asSent }
  const query = { text, values: [...values], rowMode: 'array', types, query_timeout: withinMs } as { text: string; values: unknown[] }
  return (await client.query(query)).rows as unknown as TextRow[]
}

/** Runs statements that answer nothing of interest. Of a replication connection this is the only way to ask. */
export async function runScript(client: PgClient, text: string): Promise<void> {
  await client.query({ text, query_timeout: ANSWER_WITHIN_MS })
}

/** Ends a connection: by a good-bye, or where that is not heard within a second without. Never rejects. */
export async function endClient(client: PgClient, clock: Pick<Clock, 'after'>): Promise<void> {
  const timer = clock.after(END_WITHIN_MS, () => cutClient(client), { keepAlive: true })
  await client.end().catch(() => {})
  timer.cancel()
}

/** Ends a connection at once: whoever waits for an answer on it is told. */
export function cutClient(client: PgClient): void {
  client.connection.stream.destroy()
}

/** The SQLSTATE of what a database refused with. */
export function sqlStateOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

function load<T>(name: string): T {
  try {
    return createRequire(import.meta.url)(name) as T
  } catch (cause) {
    throw new ConfigurationError(`capture: needs the package '${name}' (npm install ${name}), but it could not be loaded`, { cause })
  }
}
