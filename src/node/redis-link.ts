/**
 * A link to one Redis server that is made again whenever it breaks, until it is closed.
 *
 * Each try looks the host's name up anew and tries all its addresses in turn, so a name that stands for several machines, or for another
 * one than yesterday, is followed. Between tries it waits, longer each time up to a bound and by chance, so that a fleet does not come
 * back in step ("full jitter", M. Brooker, Exponential Backoff and Jitter, AWS 2015). A link is one client or several that only make sense
 * together: when one of them is lost, all are, and all are made again.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { asError, ClosedError, DeadlineError, NodeError } from '../errors.ts'
import type { Lookup, RedisAddress } from './redis-address.ts'
import { connectClient, createClient, endClient, type RedisClient } from './redis-client.ts'

export interface LinkOptions {
  /** The node's id, for messages. */
  readonly name: string
  readonly address: RedisAddress
  readonly lookup: Lookup
  readonly clock: Clock
  readonly random: Random
  /** Bound of one try of one address, from its first packet to `setUp` done, ms. */
  readonly connectTimeoutMs: number
  /** Makes the clients of a link ready for use. Each client it opens belongs to the link, also when it fails. */
  readonly setUp: (open: (protocol: 2 | 3) => Promise<RedisClient>) => Promise<void>
  readonly onUp: () => void
  /** Called once for each `onUp`, when the link is lost, before the next try. */
  readonly onLost: (error: NodeError) => void
  /** Called for every try that failed. */
  readonly onFailed: (error: NodeError) => void
}

/** The wait before the first new try is at most this, ms; it doubles with each failed one. */
const FIRST_WAIT_MS = 50
/** No wait is longer, ms: a server that is well again is to be found so within 2 s. */
const LONGEST_WAIT_MS = 1_000
/** No wait is shorter, ms: a server that takes connections and drops them is not to be hammered. */
const SHORTEST_WAIT_MS = 10

export class RedisLink {
  readonly #options: LinkOptions
  #clients: RedisClient[] = []
  #failures = 0
  #waiting: Timer | undefined
  #closed = false
  #up = false
  #tearing: Promise<void> = Promise.resolve()
  #trying: Promise<void> = Promise.resolve()

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Begins to connect. Whether it worked is told by `onUp` and `onFailed`. */
  open(): void {
    this.#trying = this.#try()
  }

  get up(): boolean {
    return this.#up
  }

  /** Drops the clients and makes new ones: for a connection that is open and does not answer. */
  reset(reason: string): void {
    if (this.#up) this.#lost(reason)
  }

  /** Resolves when every socket is closed; there is no timer afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiting?.cancel()
    this.#up = false
    await this.#tearDown()
    await this.#trying
    await this.#tearDown()
  }

  async #try(): Promise<void> {
    const { onUp, onFailed, name, address } = this.#options
    try {
      await this.#tryAll()
      if (this.#closed) return
      this.#failures = 0
      this.#up = true
      onUp()
    } catch (thrown) {
      if (this.#closed) return
      const cause = asError(thrown)
      onFailed(
        new NodeError(`node ${name}: no connection to ${address.host}:${address.port}: ${cause.message || cause.name}`, name, { cause }),
      )
      this.#again()
    }
  }

  async #tryAll(): Promise<void> {
    const { address, lookup } = this.#options
    const found = await this.#within(lookup(address.host))
    let failure: unknown = new Error('the name stands for no address')
    for (const ip of found) {
      if (this.#closed) throw new ClosedError('closed')
      try {
        await this.#setUpAt(ip)
        return
      } catch (thrown) {
        failure = thrown
        await this.#tearDown()
      }
    }
    throw failure
  }

  async #setUpAt(ip: string): Promise<void> {
    const { address, connectTimeoutMs, setUp } = this.#options
    const clients: RedisClient[] = []
    this.#clients = clients
    const open = async (protocol: 2 | 3): Promise<RedisClient> => {
      const client = await createClient({ address, ip, connectTimeoutMs, protocol })
      if (this.#clients !== clients || this.#closed) throw new ClosedError('the try was given up')
      clients.push(client)
      client.once('end', () => {
        if (this.#clients === clients) this.#lost('connection lost')
      })
      await connectClient(client)
      return client
    }
    await this.#within(setUp(open))
    if (clients.some((client) => client.status !== 'ready')) throw new Error('the connection was lost at once')
  }

  #lost(reason: string): void {
    if (!this.#up) return
    const { name, onLost } = this.#options
    this.#up = false
    void this.#tearDown()
    onLost(new NodeError(`node ${name}: ${reason}`, name))
    if (!this.#closed) this.#again()
  }

  #again(): void {
    const { clock, random } = this.#options
    const boundMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures++, 10))
    this.#waiting = clock.after(SHORTEST_WAIT_MS + random() * boundMs, () => {
      this.#waiting = undefined
      this.#trying = this.#tearing.then(() => (this.#closed ? undefined : this.#try()))
    })
  }

  #tearDown(): Promise<void> {
    const clients = this.#clients
    this.#clients = []
    this.#tearing = Promise.all([this.#tearing, ...clients.map(endClient)]).then(() => {})
    return this.#tearing
  }

  #within<T>(work: Promise<T>): Promise<T> {
    const { clock, connectTimeoutMs, name } = this.#options
    return new Promise((resolve, reject) => {
      const timer = clock.after(connectTimeoutMs, () =>
        reject(new DeadlineError(`node ${name}: not connected within ${connectTimeoutMs} ms`)),
      )
      work.then(resolve, reject).finally(() => timer.cancel())
    })
  }
}
