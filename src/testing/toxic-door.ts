/**
 * One listening port of a toxic proxy, with the connections that came through it and toxics of its own.
 *
 * A connection is two sockets and a pipe each way. Where clients have a door each, one of them can be cut off while the others notice nothing.
 */
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { ClosedError, UnavailableError } from '../errors.ts'
import { oneOf } from '../options.ts'
import { seededRandom } from './seeded-random.ts'
import { ToxicPipe } from './toxic-pipe.ts'
import { checkedToxics, DIRECTIONS, type Direction, type Toxics } from './toxics.ts'

export interface ToxicDoorParts {
  readonly name: string
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly target: { readonly host: string; readonly port: number }
  readonly clock: Clock
  readonly seed: number
  readonly maxConnections: number
  readonly maxHeldBytes: number
  /** The door's address in the form of what it leads to. */
  urlOf(port: number, protocol?: string): string
}

export interface ByteCounts {
  readonly up: number
  readonly down: number
}

interface Connection {
  readonly client: Socket
  readonly server: Socket
  readonly up: ToxicPipe
  readonly down: ToxicPipe
}

export class ToxicDoor {
  readonly name: string
  readonly #parts: ToxicDoorParts
  readonly #connections = new Set<Connection>()
  readonly #toxics: Record<Direction, Toxics> = { up: {}, down: {} }
  readonly #forwarded = { up: 0, down: 0 }
  readonly #held = { up: 0, down: 0 }
  #listening: Server | undefined
  #opening: Promise<void> | undefined
  #port: number
  #accepted = 0
  #isClosed = false

  constructor(parts: ToxicDoorParts) {
    this.name = parts.name
    this.#parts = parts
    this.#port = parts.port
  }

  get host(): string {
    return this.#parts.host
  }

  get port(): number {
    return this.#port
  }

  /** Whether it listens: see `refuse`. */
  get isOpen(): boolean {
    return this.#listening !== undefined
  }

  /** Settled once it listens, or is known not to; at once where it was told to refuse. */
  get opened(): Promise<void> {
    return this.#opening ?? Promise.resolve()
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size
  }

  /** Connections that ever came. */
  get accepted(): number {
    return this.#accepted
  }

  /** Bytes handed on so far. */
  get forwarded(): ByteCounts {
    return { ...this.#forwarded }
  }

  /** Bytes that were read and wait for their time. What a blackhole keeps from being read is not among them, but for who came during it. */
  get held(): ByteCounts {
    return { ...this.#held }
  }

  /** What to hand to a client: the URL that was proxied, with this door's address in it. @param protocol Default: that URL's, else `redis` */
  url(protocol?: string): string {
    return this.#parts.urlOf(this.#port, protocol)
  }

  toxicsOf(direction: Direction): Toxics {
    return { ...this.#toxics[oneOf(direction, 'toxic proxy: direction', DIRECTIONS)] }
  }

  /**
   * Sets toxics on connections that are open and on those to come; toxics that are not named stay as they are.
   * @param direction Default: both
   * @throws ConfigurationError for what no toxic can be
   */
  set(toxics: Toxics, direction?: Direction): void {
    checkedToxics(toxics)
    const directions = direction === undefined ? DIRECTIONS : [oneOf(direction, 'toxic proxy: direction', DIRECTIONS)]
    for (const each of directions) this.#toxics[each] = { ...this.#toxics[each], ...toxics }
    this.#changed(directions, 'resetAfterBytes' in toxics)
  }

  /** Resets (RST) every connection that is open. */
  reset(): void {
    for (const connection of this.#connections) resetBoth(connection)
  }

  /** Stops listening: who comes is refused. Connections that are open stay. */
  refuse(): void {
    this.#listening?.close()
    this.#listening = undefined
    this.#opening = undefined
  }

  /** Listens again, on the same port. @throws UnavailableError when another process has taken it meanwhile; ClosedError after `close` */
  accept(): Promise<void> {
    if (this.#isClosed) return Promise.reject(new ClosedError(`toxic proxy: door '${this.name}' is closed`))
    this.#opening ??= this.#listen()
    return this.#opening
  }

  /** Takes all toxics off and listens again. What a reset has ended stays ended. */
  async heal(): Promise<void> {
    for (const direction of DIRECTIONS) this.#toxics[direction] = {}
    this.#changed(DIRECTIONS, true)
    await this.accept()
  }

  /** Ends every connection, and leaves no socket and no timer. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.refuse()
    const closing = [...this.#connections].flatMap(({ client, server }) => [client, server]).filter((socket) => !socket.closed)
    const closed = closing.map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())))
    for (const socket of closing) socket.destroy()
    await Promise.all(closed)
  }

  async #listen(): Promise<void> {
    // Half-open: the end of one direction is handed on, and leaves the other as it is.
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#came(client))
    this.#listening = server
    await new Promise<void>((resolve, reject) => {
      server.on('error', (cause) => {
        if (this.#listening === server && !server.listening) this.refuse()
        reject(new UnavailableError(`toxic proxy: door '${this.name}' cannot listen on ${this.host}:${this.#port}`, { cause }))
      })
      // Told to refuse while it is on its way to listen, it closes and never listens.
      server.once('close', resolve)
      server.listen(this.#port, this.host, resolve)
    })
    this.#port = (server.address() as AddressInfo | null)?.port ?? this.#port
  }

  #changed(directions: readonly Direction[], isCountNew: boolean): void {
    for (const connection of this.#connections) {
      this.#dial(connection.server)
      for (const direction of directions) connection[direction].change(this.#toxics[direction], isCountNew)
    }
  }

  #came(client: Socket): void {
    this.#accepted++
    if (this.#isClosed || this.#connections.size >= this.#parts.maxConnections) {
      client.resetAndDestroy()
      return
    }
    const server = new Socket({ allowHalfOpen: true })
    server.setNoDelay(true)
    const sockets = { client, server }
    const random = seededRandom(this.#parts.seed + this.#accepted)
    const pipe = (direction: Direction, source: Socket, sink: Socket): ToxicPipe =>
      new ToxicPipe({
        source,
        sink,
        random,
        clock: this.#parts.clock,
        toxics: this.#toxics[direction],
        maxHeldBytes: this.#parts.maxHeldBytes,
        forwarded: (bytes) => {
          this.#forwarded[direction] += bytes
        },
        held: (bytes) => {
          this.#held[direction] += bytes
        },
        reset: () => resetBoth(sockets),
      })
    const connection: Connection = { ...sockets, up: pipe('up', client, server), down: pipe('down', server, client) }
    this.#connections.add(connection)
    const left = (): void => {
      if (client.closed && server.closed) this.#connections.delete(connection)
    }
    client.once('close', left)
    server.once('close', left)
    this.#dial(server)
  }

  /** Not while nothing comes through to the target: what it must not hear of a client includes that it came. */
  #dial(server: Socket): void {
    if (this.#toxics.up.blackhole || !server.pending || server.connecting || server.destroyed) return
    server.connect(this.#parts.target)
  }
}

/** RST on both sides; a socket that is not connected has nobody to tell. */
function resetBoth({ client, server }: { readonly client: Socket; readonly server: Socket }): void {
  for (const socket of [client, server]) {
    if (socket.destroyed) continue
    if (socket.pending) socket.destroy()
    else socket.resetAndDestroy()
  }
}
