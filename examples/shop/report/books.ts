/** What a run must come to, whatever its speed: a report for which this is not true is that of a shop that failed. */
import { count } from '../view/format.ts'
import type { Report } from './report.ts'

/** @returns what is wrong, a sentence each; empty when the books are right */
export function wrongInBooks({ requests, orders, stock, troubles }: Pick<Report, 'requests' | 'orders' | 'stock' | 'troubles'>): string[] {
  const wrong: string[] = []
  if (requests.failed > 0) {
    const last = troubles.length === 0 ? '' : ` (${troubles.slice(-3).join('; ')})`
    wrong.push(`requests: needs none that failed, but got: ${count(requests.failed)} of ${count(requests.total)}${last}`)
  }
  if (orders.stored !== orders.accepted)
    wrong.push(`orders: needs each accepted one in the database, but got: ${count(orders.stored)} of ${count(orders.accepted)}`)
  if (orders.duplicated > 0) wrong.push(`orders: needs each in the database once, but got: ${count(orders.duplicated)} twice`)
  if (orders.answeredOtherwise > 0)
    wrong.push(`orders: needs the same answer when sent again, but got: another for ${count(orders.answeredOtherwise)}`)
  if (stock.unbalanced > 0)
    wrong.push(`stock: needs to be what accepted orders left of it, but got: another for ${count(stock.unbalanced)} products`)
  if (stock.lowest < 0) wrong.push(`stock: needs to be 0 or more, but got: ${count(stock.lowest)}`)
  return wrong
}
