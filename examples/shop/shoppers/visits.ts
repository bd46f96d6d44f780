/**
 * What shoppers do: visits, several at a time, each of which ends in an order of the log.
 *
 * A visit reads the profile, reads products, puts the order's lines into a cart (five a request), corrects a quantity, looks at the cart,
 * orders, and looks at the order. Before each write it reads as many products as make eight reads a write in all, the mix of an
 * e-commerce application whose carts are counted. Products are read in the trace's order: a shopper takes the next few and reads them
 * one after the other, as the application did. One order in 50 is sent twice, as by a customer who clicks twice; the second answer must be the
 * first. When the trace is over it begins anew, and so does the log, under new order ids (`~` is in none of the log's).
 */

import type { ShoppersTask } from './messages.ts'
import type { Requests } from './requests.ts'
import type { TallyKeeping } from './tally-keeping.ts'

const READS_A_WRITE = 8
const LINES_AN_ADD = 5
const SENT_TWICE_EVERY = 50

export class Visits {
  readonly #task: ShoppersTask
  readonly #requests: Pick<Requests, 'read' | 'readProduct' | 'write'>
  readonly #keeping: TallyKeeping
  #nextRead = 0
  #nextOrder = 0
  #stopped = false

  constructor(task: ShoppersTask, requests: Pick<Requests, 'read' | 'readProduct' | 'write'>, keeping: TallyKeeping) {
    this.#task = task
    this.#requests = requests
    this.#keeping = keeping
  }

  /** Resolves when every shopper has finished the request at hand after `stop`. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: this.#task.shoppers }, () => this.#shop()))
  }

  stop(): void {
    this.#stopped = true
  }

  async #shop(): Promise<void> {
    while (!this.#stopped) await this.#visit()
  }

  async #visit(): Promise<void> {
    const { orders, userIds, guestId, productIds } = this.#task
    const round = Math.floor(this.#nextOrder / orders.ids.length)
    const order = this.#nextOrder++ % orders.ids.length
    this.#keeping.tally.orders.rounds = round
    const id = round === 0 ? orders.ids[order]! : `${orders.ids[order]}~${round}`
    const customer = orders.customer[order]!
    const userId = customer === -1 ? guestId : userIds[customer]!
    const [from, to] = [orders.start[order]!, orders.start[order + 1]!]

    await this.#requests.read('order', `/users/${encodeURIComponent(userId)}`)
    for (let line = from; line < to; line += LINES_AN_ADD) {
      await this.#browse(READS_A_WRITE)
      if (this.#stopped) return
      await this.#requests.write('POST', 'cart', `/carts/${id}/lines`, {
        userId,
        lines: this.#lines(line, Math.min(to, line + LINES_AN_ADD), from),
      })
    }
    await this.#browse(READS_A_WRITE)
    if (this.#stopped) return
    const first = encodeURIComponent(productIds[orders.item[from]!]!)
    await this.#requests.write('PUT', 'cart', `/carts/${id}/lines/${first}`, { userId, quantity: orders.quantity[from]! })
    if (this.#stopped) return
    await this.#requests.read('cart', `/carts/${id}`)
    // Profile, cart and order are read too.
    await this.#browse(READS_A_WRITE - 3)
    if (this.#stopped) return
    await this.#order(id, userId, order)
    await this.#requests.read('order', `/orders/${id}`)
  }

  /** Of the first line one too many is put in, to be corrected later. */
  #lines(from: number, to: number, first: number): { productId: string; quantity: number }[] {
    const { orders, productIds } = this.#task
    return Array.from({ length: to - from }, (_, index) => {
      const line = from + index
      return { productId: productIds[orders.item[line]!]!, quantity: orders.quantity[line]! + (line === first ? 1 : 0) }
    })
  }

  async #browse(reads: number): Promise<void> {
    const { reads: trace, productIds } = this.#task
    const from = this.#nextRead
    this.#nextRead += reads
    for (let read = from; read < from + reads && !this.#stopped; read++) {
      this.#keeping.tally.readRounds = Math.floor(read / trace.length)
      const product = trace[read % trace.length]!
      await this.#requests.readProduct(product, productIds[product]!)
    }
  }

  async #order(id: string, userId: string, order: number): Promise<void> {
    const { tally } = this.#keeping
    const form = { orderId: id, cartId: id, userId }
    let status = await this.#requests.write('POST', 'order', '/orders', form)
    // Whether it was taken is unknown: the same order once more, which is safe.
    if (status === undefined) status = await this.#requests.write('POST', 'order', '/orders', form)
    if (status === 201) tally.orders.accepted++
    else if (status === 409) tally.orders.refused++
    if (order % SENT_TWICE_EVERY !== 0 || status === undefined) return
    const again = await this.#requests.write('POST', 'order', '/orders', form)
    // Not sent, for the shop is closing; or a failure, which is counted as one.
    if (again === undefined) return
    tally.orders.sentAgain++
    if (again !== status) tally.orders.answeredOtherwise++
  }
}
