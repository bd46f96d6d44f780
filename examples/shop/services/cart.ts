/** A cart as it lies in the database and its cache, and how its lines change. */
import { Refusal } from './refusal.ts'

export interface CartLine {
  readonly productId: string
  readonly quantity: number
}

export interface Cart {
  readonly userId: string
  /** No product twice. */
  readonly lines: readonly CartLine[]
}

const MAX_LINES = 2_000
const MAX_QUANTITY = 1_000_000

/** From the lines that a cart has and the lines of a request, the lines that it has then. */
export type Change = (current: readonly CartLine[], lines: readonly CartLine[]) => CartLine[]

export function added(current: readonly CartLine[], lines: readonly CartLine[]): CartLine[] {
  const cart = new Map(current.map(({ productId, quantity }) => [productId, quantity]))
  for (const { productId, quantity } of lines) cart.set(productId, Math.min(MAX_QUANTITY, (cart.get(productId) ?? 0) + quantity))
  return linesOf(cart)
}

export function replaced(current: readonly CartLine[], lines: readonly CartLine[]): CartLine[] {
  const cart = new Map(current.map(({ productId, quantity }) => [productId, quantity]))
  for (const { productId, quantity } of lines) {
    if (quantity === 0) cart.delete(productId)
    else cart.set(productId, quantity)
  }
  return linesOf(cart)
}

function linesOf(cart: ReadonlyMap<string, number>): CartLine[] {
  if (cart.size > MAX_LINES) throw new Refusal(422, `a cart holds at most ${MAX_LINES} products, but this one would hold ${cart.size}`)
  return [...cart].map(([productId, quantity]) => ({ productId, quantity }))
}
