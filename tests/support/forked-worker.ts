/**
 * A process of a test's own: a TypeScript file that is given orders and answers them, and may tell things in between.
 *
 * What is shown with several processes must be several processes. Both ends are here: `ForkedWorker` is the test's, `answerOrders` the
 * worker's. An answer has a bound, and no worker outlives the test: it ends when the channel closes.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

interface Ordered {
  readonly id: number
  readonly order: unknown
}

type Said = { readonly id: number; readonly answer?: unknown; readonly failed?: string } | { readonly told: unknown }

const CLOSE_WITHIN_MS = 10_000

export class ForkedWorker<Order, Told = never> {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #exited: Promise<unknown>
  #lastId = 0

  /** @param main the file to run @param hear called with what the worker tells unasked @param also more of its environment */
  constructor(
    main: URL,
    hear: (told: Told, worker: ForkedWorker<Order, Told>) => void = () => {},
    also: Readonly<Record<string, string>> = {},
  ) {
    // None of the test runner's own: the worker is no test.
    const { NODE_TEST_CONTEXT: _, ...own } = process.env
    const env = { ...own, ...also }
    this.#child = fork(fileURLToPath(main), { stdio: ['ignore', 2, 2, 'ipc'], serialization: 'advanced', execArgv: [], env })
    this.#exited = once(this.#child, 'exit')
    this.#child.on('message', (said: Said) => {
      if ('told' in said) hear(said.told as Told, this)
      else this.#settle(said.id, said)
    })
    this.#child.once('exit', (code, signal) => {
      for (const id of this.#waiting.keys()) this.#settle(id, { failed: `its process ended (${signal ?? code})` })
    })
  }

  /** Rejects with what the worker threw, or after `withinMs`. */
  async ask<T>(order: Order, withinMs: number): Promise<T> {
    const id = ++this.#lastId
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    const bound = setTimeout(() => this.#settle(id, { failed: `no answer within ${withinMs} ms to ${JSON.stringify(order)}` }), withinMs)
    // A process that is killed meanwhile has not heard it.
    const sent = (error: Error | null): void => {
      if (error !== null) this.#settle(id, { failed: `its process cannot be reached (${error.message})` })
    }
    if (this.#child.connected) this.#child.send({ id, order } satisfies Ordered, sent)
    else this.#settle(id, { failed: 'its process has ended' })
    try {
      return (await waiting.promise) as T
    } finally {
      clearTimeout(bound)
    }
  }

  /** SIGKILL: a process that ends in the middle of what it does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Lets it close its connections, and makes sure that it is gone. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_WITHIN_MS)
    await (this.#child.exitCode === null && this.#child.signalCode === null ? this.#exited : undefined)
    clearTimeout(impatience)
  }

  #settle(id: number, { answer, failed }: { readonly answer?: unknown; readonly failed?: string }): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (failed === undefined) waiting?.resolve(answer)
    else waiting?.reject(new Error(`worker: ${failed}`))
  }
}

/**
 * The worker's end: answers each order with what `answer` returns, or with its failure.
 * @param close called when the test has let go, before the process ends
 * @returns the way to tell something unasked
 */
export function answerOrders<Order, Told = never>(answer: (order: Order) => unknown, close: () => Promise<void>): (told: Told) => void {
  // What is answered when the test has let go is nobody's any more.
  const say = (said: Said): void => void (process.connected && process.send!(said))
  process.on('message', async ({ id, order }: Ordered) => {
    try {
      say({ id, answer: await answer(order as Order) })
    } catch (thrown) {
      say({ id, failed: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) })
    }
  })
  process.once('disconnect', () => void close().finally(() => process.exit()))
  return (told) => void process.send?.({ told } satisfies Said)
}
