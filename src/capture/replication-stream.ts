/**
 * One connection on which a database sends its log, from where the slot says that it was heard to.
 *
 * What comes is handed on in its order; the sender is held back by not reading. What is told back is only how far the log was applied, so
 * the database keeps the rest for whoever follows next. (PostgreSQL manual: "Streaming Replication Protocol".)
 */
import type { Clock } from '../clock.ts'
import { asError } from '../errors.ts'
import { lsnText } from './lsn.ts'
import { type DatabaseConfig, endClient, type LogMessage, type PgClient, pgClient, pgoutput, runScript } from './pg-client.ts'

/** A follower whose machine is gone is missed by the database after this; one that lives says so more often. */
const SILENCE_MS = 10_000

const ANSWER_WITHIN_MS = 15_000
/** How columns are spelt must not depend on what the database, or the role, has by default: `row-image.ts` reads them. */
const SESSION = `set wal_sender_timeout = ${SILENCE_MS}; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 3`

const LOG_DATA = 0x77
const KEEPALIVE = 0x6b
const LOG_HEADER_BYTES = 25
const STATUS_BYTES = 34
/** From 1970 to 2000, from when the protocol counts, ms. */
const EPOCH_MS = 946_684_800_000

export interface ReplicationStreamParts {
  readonly database: DatabaseConfig
  readonly slot: string
  readonly publication: string
  /** SQL run once the connection is there. */
  readonly session: string
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** @param bytes its size on the wire */
  readonly hear: (message: LogMessage, bytes: number) => void
  /** All of the log up to here was sent. */
  readonly reached: (lsn: bigint) => void
}

export class ReplicationStream {
  readonly #parts: ReplicationStreamParts
  readonly #client: PgClient
  readonly #ended = Promise.withResolvers<Error>()
  #applied = 0n
  #open = false

  /** @throws ConfigurationError when a package is not installed */
  constructor(parts: ReplicationStreamParts) {
    this.#parts = parts
    this.#client = pgClient(parts.database, { replication: 'database' })
  }

  /** @returns which database it is: its system's and timeline's number */
  async connect(): Promise<string> {
    this.#client.on('error', (error) => this.#end(error))
    this.#client.on('end', () => this.#end(new Error('the connection was closed')))
    await this.#client.connect()
    await runScript(this.#client, `${SESSION}; ${this.#parts.session}`)
    const [system] = (await this.#client.query({ text: 'IDENTIFY_SYSTEM', query_timeout: ANSWER_WITHIN_MS })).rows
    return `${system!.systemid}/${system!.timeline}`
  }

  /** Resolves when the log comes; rejects with why it does not. @param started called before anything of it is heard */
  async start(started: () => void): Promise<void> {
    const { slot, publication } = this.#parts
    const plugin = pgoutput(publication)
    const { connection } = this.#client
    const begun = Promise.withResolvers<void>()
    connection.once('replicationStart', () => {
      this.#open = true
      started()
      begun.resolve()
    })
    connection.on('copyData', ({ chunk }) => this.#take(chunk, plugin))
    const over = plugin.start(this.#client, slot, lsnText(0n)).then(
      () => new Error('the database ended the stream'),
      (thrown) => asError(thrown),
    )
    void over.then((error) => this.#end(error))
    const failure = await Promise.race([begun.promise, over])
    if (failure instanceof Error) throw failure
  }

  /** Resolves with why the log does not come any more; never rejects. */
  get ended(): Promise<Error> {
    return this.#ended.promise
  }

  pause(): void {
    this.#client.connection.stream.pause()
  }

  resume(): void {
    this.#client.connection.stream.resume()
  }

  /** Tells the database how far the log was applied. @param ask whether it is to say how far it has sent */
  acknowledge(lsn: bigint, ask: boolean): void {
    if (!this.#open) return
    if (lsn > this.#applied) this.#applied = lsn
    const status = Buffer.alloc(STATUS_BYTES)
    status[0] = 0x72
    for (const at of [1, 9, 17]) status.writeBigUInt64BE(this.#applied, at)
    status.writeBigInt64BE(BigInt(Math.round(this.#parts.clock.now() - EPOCH_MS)) * 1_000n, 25)
    status[33] = ask ? 1 : 0
    this.#client.connection.sendCopyFromChunk(status)
  }

  async stop(): Promise<void> {
    this.#end(new Error('stopped'))
    await endClient(this.#client, this.#parts.clock)
  }

  #take(chunk: Buffer, plugin: ReturnType<typeof pgoutput>): void {
    try {
      if (chunk[0] === LOG_DATA) this.#parts.hear(plugin.parse(chunk.subarray(LOG_HEADER_BYTES)), chunk.length)
      else if (chunk[0] === KEEPALIVE) this.#parts.reached(chunk.readBigUInt64BE(1))
    } catch (thrown) {
      // What cannot be read cannot be passed over either.
      this.#end(asError(thrown))
      void this.stop()
    }
  }

  #end(error: Error): void {
    this.#open = false
    this.#ended.resolve(error)
  }
}
