/**
 * The shoppers' requests: over connections that are kept, one request a connection at a time, each judged and timed.
 *
 * A request fails if there is no answer within a second, the connection breaks, or the answer is not one that was to be expected (5xx above
 * all; a page of another product would be one too).
 */
import { Pool } from 'undici'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import type { ShoppersTask } from './messages.ts'
import type { Pace } from './pace.ts'
import type { TallyKeeping } from './tally-keeping.ts'

type ServiceName = keyof ShoppersTask['services']

const ANSWER_WITHIN_MS = 1_000
const EXPECTED: Readonly<Record<'GET' | 'POST' | 'PUT', readonly number[]>> = { GET: [200], POST: [200, 201, 409], PUT: [200] }

export class Requests {
  readonly #pools: Readonly<Record<ServiceName, Pool>>
  readonly #keeping: TallyKeeping
  readonly #pace: Pace
  readonly #limit: ConcurrencyLimit
  #stopped = false

  constructor(task: ShoppersTask, keeping: TallyKeeping, pace: Pace) {
    const pool = (url: string) => new Pool(url, { connections: task.shoppers, pipelining: 1, keepAliveTimeout: 30_000 })
    this.#pools = { product: pool(task.services.product), cart: pool(task.services.cart), order: pool(task.services.order) }
    this.#keeping = keeping
    this.#pace = pace
    this.#limit = new ConcurrencyLimit(task.shoppers)
  }

  async readProduct(product: number, id: string): Promise<void> {
    await this.#pace.turn()
    let wasRead = false
    const onSend = () => {
      wasRead = this.#keeping.wasRead(product)
    }
    const answer = await this.#send('GET', 'product', `/products/${encodeURIComponent(id)}`, undefined, onSend)
    if (answer === undefined) return
    if (!answer.body.startsWith(`{"id":${JSON.stringify(id)}`)) this.#keeping.failed(`GET /products/${id}: a page of another product`)
    else this.#keeping.pageAnswered(product, wasRead, answer.outcome, answer.ms)
  }

  async read(service: ServiceName, path: string): Promise<void> {
    await this.#pace.turn()
    await this.#send('GET', service, path)
  }

  /** @returns the status; undefined when the request failed */
  async write(method: 'POST' | 'PUT', service: ServiceName, path: string, body: object): Promise<number | undefined> {
    await this.#pace.turn()
    return (await this.#send(method, service, path, JSON.stringify(body)))?.status
  }

  /** What is under way goes on; nothing more is sent, and what would be comes to nothing. */
  stop(): void {
    this.#stopped = true
    this.#pace.stop()
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#pools).map((pool) => pool.destroy()))
  }

  async #send(method: 'GET' | 'POST' | 'PUT', service: ServiceName, path: string, body?: string, onSend?: () => void) {
    await this.#limit.enter()
    if (this.#stopped) {
      this.#limit.leave(0)
      return undefined
    }
    onSend?.()
    this.#keeping.sent(method === 'GET' ? 'read' : 'write')
    const startMs = performance.now()
    try {
      const response = await this.#pools[service].request({
        method,
        path,
        body: body ?? null,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      })
      const text = await response.body.text()
      const ms = performance.now() - startMs
      if (EXPECTED[method].includes(response.statusCode))
        return { status: response.statusCode, body: text, ms, outcome: response.headers['x-cache'] }
      this.#keeping.failed(`${method} ${path}: ${response.statusCode} ${text.slice(0, 120)}`)
    } catch (error) {
      this.#keeping.failed(`${method} ${path}: ${(error as Error).name} ${(error as Error).message}`)
    } finally {
      this.#limit.leave(performance.now() - startMs)
    }
    return undefined
  }
}
