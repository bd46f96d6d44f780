/**
 * An event log of a shop: sales, cancellations and adjustments, one line an event.
 *
 * An invoice with sale lines is an order; its lines of one SKU are one line of the order. Cancellations and adjustments are counted and
 * left out: they undo or correct sales that, here, the shop may have refused. SKUs are numbered in order of first appearance.
 */
import { shown } from '../shown.ts'
import { UsageError } from '../usage-error.ts'
import { BadLines } from './bad-lines.ts'
import { type OnProgress, readLines } from './lines.ts'

/** Orders as arrays: order n has the lines `start[n]` … `start[n + 1] − 1`. */
export interface Orders {
  readonly ids: readonly string[]
  /** The number of the order's customer, −1 for a guest. */
  readonly customer: Int32Array
  readonly start: Int32Array
  /** Of each line, the number of what was bought. */
  readonly item: Int32Array
  readonly quantity: Int32Array
}

export interface Customer {
  readonly id: string
  readonly country: string
}

export interface EventLog {
  readonly orders: Orders
  /** In order of first appearance. */
  readonly skus: readonly string[]
  readonly customers: readonly Customer[]
  readonly lines: { readonly sales: number; readonly cancellations: number; readonly adjustments: number }
  readonly bad: BadLines
}

const HEADER = 'ts,op,invoice,sku,qty,unit_price,customer_id,country'
const MAX_QUANTITY = 1_000_000

/** @throws UsageError when the file cannot be read or is no event log */
export async function readEvents(file: string, onProgress?: OnProgress): Promise<EventLog> {
  const bad = new BadLines(file)
  const log = new OrderLog()
  const lines = { sales: 0, cancellations: 0, adjustments: 0 }
  let started = false
  for await (const batch of readLines(file, '--events', onProgress)) {
    for (const [index, line] of batch.lines.entries()) {
      if (!started) {
        if (line.replace('\uFEFF', '').trim() !== HEADER)
          throw UsageError.of(`--events ${file}`, `CSV with the header "${HEADER}"`, shown(line))
        started = true
        continue
      }
      if (line === '') continue
      const fields = line.split(',')
      const wrong = reasonAgainst(fields)
      if (wrong !== undefined) bad.add(batch.first + index, wrong)
      else if (fields[1] === 'sale') {
        lines.sales++
        log.add(fields[2]!, fields[3]!, Number(fields[4]), fields[6]!, fields[7]!)
      } else if (fields[1] === 'cancel') lines.cancellations++
      else lines.adjustments++
    }
  }
  if (lines.sales === 0) throw UsageError.of(`--events ${file}`, 'at least one sale', 'none')
  return { ...log.finish(), lines, bad }
}

function reasonAgainst(fields: readonly string[]): string | undefined {
  if (fields.length !== 8) return `8 fields needed, but got ${fields.length}`
  const [ts, op, invoice, sku, qty, , customer] = fields
  if (!/^\d{1,12}$/.test(ts!)) return `ts: seconds since 1970 needed, but got ${shown(ts!)}`
  if (op !== 'sale' && op !== 'cancel' && op !== 'adjust') return `op: sale, cancel or adjust needed, but got ${shown(op!)}`
  if (!/^[\w-]{1,40}$/.test(invoice!)) return `invoice: 1 to 40 letters or digits needed, but got ${shown(invoice!)}`
  if (sku === '' || sku!.length > 64) return `sku: 1 to 64 characters needed, but got ${shown(sku!)}`
  if (!/^[\w-]{0,40}$/.test(customer!)) return `customer_id: at most 40 letters or digits needed, but got ${shown(customer!)}`
  if (!/^-?\d{1,7}$/.test(qty!)) return `qty: a whole number needed, but got ${shown(qty!)}`
  const quantity = Number(qty)
  if (op === 'sale' && !(quantity >= 1 && quantity <= MAX_QUANTITY)) return `qty: 1 to ${MAX_QUANTITY} needed in a sale, but got ${qty}`
  return undefined
}

/** Collects orders, whatever the order of their lines in the log. */
export class OrderLog {
  readonly #invoices = new Map<string, { customer: number; lines: Map<number, number> }>()
  readonly #skus = new Map<string, number>()
  readonly #customers = new Map<string, { number: number; country: string }>()
  #lines = 0

  add(invoice: string, sku: string, quantity: number, customer: string, country: string): void {
    let order = this.#invoices.get(invoice)
    if (order === undefined) {
      order = { customer: customer === '' ? -1 : this.#customerNumber(customer, country), lines: new Map() }
      this.#invoices.set(invoice, order)
    }
    const item = this.name(sku)
    const before = order.lines.get(item)
    if (before === undefined) this.#lines++
    order.lines.set(item, Math.min(MAX_QUANTITY, (before ?? 0) + quantity))
  }

  /** @returns the SKU's number: the count of those that came before it */
  name(sku: string): number {
    let item = this.#skus.get(sku)
    if (item === undefined) {
      item = this.#skus.size
      this.#skus.set(sku, item)
    }
    return item
  }

  finish(): { orders: Orders; skus: string[]; customers: Customer[] } {
    const count = this.#invoices.size
    const orders = {
      ids: [...this.#invoices.keys()],
      customer: new Int32Array(count),
      start: new Int32Array(count + 1),
      item: new Int32Array(this.#lines),
      quantity: new Int32Array(this.#lines),
    }
    let line = 0
    for (const [index, order] of [...this.#invoices.values()].entries()) {
      orders.customer[index] = order.customer
      for (const [item, quantity] of order.lines) {
        orders.item[line] = item
        orders.quantity[line++] = quantity
      }
      orders.start[index + 1] = line
    }
    const customers = [...this.#customers].map(([id, { country }]) => ({ id, country }))
    return { orders, skus: [...this.#skus.keys()], customers }
  }

  #customerNumber(id: string, country: string): number {
    let customer = this.#customers.get(id)
    if (customer === undefined) {
      customer = { number: this.#customers.size, country }
      this.#customers.set(id, customer)
    }
    return customer.number
  }
}
