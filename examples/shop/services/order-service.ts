/** Orders and the profiles of those who order, over HTTP. An order that is refused for lack of stock is an answer: 409 with what is short. */
import type { FastifyInstance } from 'fastify'
import { createService, ID, ID_IN_PATH, type Troubles } from './http.ts'
import type { OrderDesk, OrderForm } from './order-desk.ts'
import type { ProfileChange, Profiles } from './profiles.ts'

const PLACE = {
  body: {
    type: 'object',
    required: ['orderId', 'cartId', 'userId'],
    additionalProperties: false,
    properties: { orderId: ID, cartId: ID, userId: ID },
  },
} as const

const CHANGE = {
  ...ID_IN_PATH,
  body: {
    type: 'object',
    additionalProperties: false,
    minProperties: 1,
    properties: { language: { type: 'string', pattern: '^[a-z]{2}$' }, newsletter: { type: 'boolean' } },
  },
} as const

export function createOrderService(desk: OrderDesk, profiles: Profiles, troubles: Troubles): FastifyInstance {
  const service = createService('order', troubles)
  service.post<{ Body: OrderForm }>('/orders', { schema: PLACE }, async (request, reply) => {
    const answer = await desk.place(request.body)
    return reply.code(answer.status === 'accepted' ? 201 : 409).send({ id: request.body.orderId, ...answer })
  })
  service.get<{ Params: { id: string } }>('/orders/:id', { schema: ID_IN_PATH }, (request) => desk.find(request.params.id))
  service.get<{ Params: { id: string } }>('/users/:id', { schema: ID_IN_PATH }, async (request, reply) => {
    const { profile, outcome } = await profiles.read(request.params.id)
    reply.header('x-cache', outcome)
    return profile
  })
  service.patch<{ Params: { id: string }; Body: ProfileChange }>('/users/:id', { schema: CHANGE }, (request) =>
    profiles.change(request.params.id, request.body),
  )
  return service
}
