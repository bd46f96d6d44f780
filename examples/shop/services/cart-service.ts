/** Carts over HTTP. */
import type { FastifyInstance } from 'fastify'
import type { CartLine } from './cart.ts'
import type { Carts } from './carts.ts'
import { createService, ID, ID_IN_PATH, type Troubles } from './http.ts'

const LINE = { productId: ID, quantity: { type: 'integer', minimum: 1, maximum: 1_000_000 } } as const
const QUANTITY = { type: 'integer', minimum: 0, maximum: 1_000_000 } as const

const ADD = {
  ...ID_IN_PATH,
  body: {
    type: 'object',
    required: ['userId', 'lines'],
    additionalProperties: false,
    properties: {
      userId: ID,
      lines: {
        type: 'array',
        minItems: 1,
        maxItems: 100,
        items: { type: 'object', required: ['productId', 'quantity'], additionalProperties: false, properties: LINE },
      },
    },
  },
} as const

const SET = {
  params: { type: 'object', required: ['id', 'productId'], properties: { id: ID, productId: ID } },
  body: { type: 'object', required: ['userId', 'quantity'], additionalProperties: false, properties: { userId: ID, quantity: QUANTITY } },
} as const

export function createCartService(carts: Carts, troubles: Troubles): FastifyInstance {
  const service = createService('cart', troubles)
  service.get<{ Params: { id: string } }>('/carts/:id', { schema: ID_IN_PATH }, (request) => carts.show(request.params.id))
  service.post<{ Params: { id: string }; Body: { userId: string; lines: CartLine[] } }>('/carts/:id/lines', { schema: ADD }, (request) =>
    carts.add(request.params.id, request.body.userId, request.body.lines),
  )
  service.put<{ Params: { id: string; productId: string }; Body: { userId: string; quantity: number } }>(
    '/carts/:id/lines/:productId',
    { schema: SET },
    (request) => {
      const { id, productId } = request.params
      return carts.set(id, request.body.userId, { productId, quantity: request.body.quantity })
    },
  )
  return service
}
