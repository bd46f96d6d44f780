/**
 * A TCP proxy that makes trouble when told to: networks fail in more ways than by an error at once, and those are the ways to test.
 *
 * It stands between clients and a server, and hands bytes on as they are until toxics are set, changed or taken off, while connections live:
 * late, slowly, in pieces, not at all, one way only, or reset in the middle of a reply. It has as many listening ports ("doors") as a test
 * wants, each with toxics of its own, so that one client can be cut off while another is not.
 *
 *     const proxy = await startToxicProxy({ to: server.url })
 *     proxy.set({ latencyMs: 200 })                    // both ways
 *     proxy.set({ blackhole: true }, 'down')           // the server hears, and is not heard
 *     await proxy.heal()
 *
 * The promise: order and content of bytes are kept; nothing is buffered without a bound; delays do not add up; chance comes from a seed.
 */
import { type Clock, systemClock } from '../clock.ts'
import { ClosedError, ConfigurationError, OverloadError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { ToxicDoor } from './toxic-door.ts'
import { DIRECTIONS, type Direction, type Toxics } from './toxics.ts'

export interface ToxicProxyOptions {
  /** The server behind it: its host and port, or its URL, whose user, password, path and query `url()` gives back. */
  readonly to: string | { readonly host: string; readonly port: number }
  /** The address it listens on. Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** The port of the first door. Default: a free one. */
  readonly port?: number | undefined
  /** Of jitter and of the pieces that chunks are cut into: a connection draws by the seed and its number. Default 1. */
  readonly seed?: number | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
  /** Connections of one door at once; who comes above that is reset. Default 10,000. */
  readonly maxConnections?: number | undefined
  /** Bytes that may wait in one direction of one connection before its sender is held up. Default 1 MiB. */
  readonly maxHeldBytes?: number | undefined
}

const KNOWN = ['to', 'host', 'port', 'seed', 'clock', 'maxConnections', 'maxHeldBytes']
/** The first door's name. */
const MAIN = 'main'
const MAX_DOORS = 1_000

/** What is listened on where a URL names no port. */
const PORTS: Readonly<Record<string, number>> = {
  redis: 6379,
  rediss: 6379,
  valkey: 6379,
  valkeys: 6379,
  postgres: 5432,
  postgresql: 5432,
  http: 80,
  https: 443,
}

/**
 * @returns it, listening
 * @throws ConfigurationError on a wrong option; UnavailableError when it cannot listen
 */
export async function startToxicProxy(options: ToxicProxyOptions): Promise<ToxicProxy> {
  const proxy = new ToxicProxy(options)
  await proxy.accept()
  return proxy
}

/** What is done to the proxy is done to all its doors, those that are opened later included; what is told of it is their sum. */
export class ToxicProxy {
  readonly #doors = new Map<string, ToxicDoor>()
  readonly #toxics: Record<Direction, Toxics> = { up: {}, down: {} }
  readonly #makeDoor: (name: string) => ToxicDoor
  readonly #main: ToxicDoor
  #isClosed = false

  constructor(options: ToxicProxyOptions) {
    knownOptions(options, 'toxic proxy', KNOWN)
    const { url, host, port } = targetOf(options.to)
    const listenHost = options.host ?? '127.0.0.1'
    const seed = options.seed ?? 1
    if (!Number.isFinite(seed)) throw ConfigurationError.of('toxic proxy: seed', 'a number', seed)
    const mainPort = wholeNumber(options.port ?? 0, 'toxic proxy: port', 0, 65_535)
    const common = {
      host: listenHost,
      target: { host, port },
      clock: options.clock ?? systemClock,
      maxConnections: wholeNumber(options.maxConnections ?? 10_000, 'toxic proxy: maxConnections', 1),
      maxHeldBytes: wholeNumber(options.maxHeldBytes ?? 1_048_576, 'toxic proxy: maxHeldBytes', 1),
      urlOf: (doorPort: number, protocol?: string) => urlThrough(url, listenHost, doorPort, protocol),
    }
    this.#makeDoor = (name) =>
      new ToxicDoor({ ...common, name, port: name === MAIN ? mainPort : 0, seed: seed + this.#doors.size * common.maxConnections })
    this.#main = this.#makeDoor(MAIN)
    this.#doors.set(MAIN, this.#main)
  }

  get host(): string {
    return this.#main.host
  }

  /** Of the first door, whose name is `main`. */
  get port(): number {
    return this.#main.port
  }

  get connections(): number {
    return this.#sum((door) => door.connections)
  }

  get accepted(): number {
    return this.#sum((door) => door.accepted)
  }

  get forwarded(): { readonly up: number; readonly down: number } {
    return { up: this.#sum((door) => door.forwarded.up), down: this.#sum((door) => door.forwarded.down) }
  }

  get held(): { readonly up: number; readonly down: number } {
    return { up: this.#sum((door) => door.held.up), down: this.#sum((door) => door.held.down) }
  }

  /** @see ToxicDoor.url */
  url(protocol?: string): string {
    return this.#main.url(protocol)
  }

  /**
   * A listening port of its own to the same server, opened when it is first asked for.
   * @throws UnavailableError when it cannot listen; OverloadError past 1,000 doors; ClosedError after `close`
   */
  async door(name: string): Promise<ToxicDoor> {
    if (this.#isClosed) throw new ClosedError('toxic proxy: it is closed')
    if (typeof name !== 'string' || name === '') throw ConfigurationError.of('toxic proxy: door', 'a name', name)
    const door = this.#doors.get(name) ?? this.#madeDoor(name)
    await door.opened
    return door
  }

  /** @see ToxicDoor.set */
  set(toxics: Toxics, direction?: Direction): void {
    for (const door of this.#doors.values()) door.set(toxics, direction)
    for (const each of direction === undefined ? DIRECTIONS : [direction]) {
      this.#toxics[each] = { ...this.#toxics[each], ...toxics }
    }
  }

  /** @see ToxicDoor.reset */
  reset(): void {
    for (const door of this.#doors.values()) door.reset()
  }

  /** @see ToxicDoor.refuse */
  refuse(): void {
    for (const door of this.#doors.values()) door.refuse()
  }

  /** @see ToxicDoor.accept */
  async accept(): Promise<void> {
    await Promise.all([...this.#doors.values()].map((door) => door.accept()))
  }

  /** @see ToxicDoor.heal */
  async heal(): Promise<void> {
    for (const direction of DIRECTIONS) this.#toxics[direction] = {}
    await Promise.all([...this.#doors.values()].map((door) => door.heal()))
  }

  /** Ends every connection of every door, and leaves no socket and no timer. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#doors.values()].map((door) => door.close()))
  }

  #madeDoor(name: string): ToxicDoor {
    if (this.#doors.size >= MAX_DOORS) throw new OverloadError(`toxic proxy: has at most ${MAX_DOORS} doors`)
    const door = this.#makeDoor(name)
    this.#doors.set(name, door)
    for (const direction of DIRECTIONS) door.set(this.#toxics[direction], direction)
    door.accept().catch(() => this.#doors.delete(name))
    return door
  }

  #sum(of: (door: ToxicDoor) => number): number {
    let sum = 0
    for (const door of this.#doors.values()) sum += of(door)
    return sum
  }
}

function targetOf(to: ToxicProxyOptions['to']): { url: URL; host: string; port: number } {
  const what = 'toxic proxy: to'
  const needed = 'a URL such as redis://127.0.0.1:6379, or { host, port }'
  if (typeof to === 'string') {
    const url = URL.parse(to)
    const port = Number(url?.port || PORTS[url?.protocol.slice(0, -1) ?? ''])
    if (url === null || url.hostname === '' || !(port > 0)) throw ConfigurationError.of(what, needed, withoutCredentials(to))
    return { url, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port }
  }
  if (typeof to !== 'object' || to === null || typeof to.host !== 'string' || to.host === '') throw ConfigurationError.of(what, needed, to)
  const port = wholeNumber(to.port, `${what}: port`, 1, 65_535)
  return { url: new URL('redis://host'), host: to.host, port }
}

function urlThrough(url: URL, host: string, port: number, protocol?: string): string {
  const { username, password, pathname, search } = url
  const login = username === '' && password === '' ? '' : `${username}${password === '' ? '' : `:${password}`}@`
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return `${protocol ?? url.protocol.slice(0, -1)}://${login}${address}${pathname}${search}`
}

/** A message ends up in logs. */
function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//…@')
}
