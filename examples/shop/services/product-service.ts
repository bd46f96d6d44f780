/** Product pages over HTTP. `x-cache` says how each was come by; `?source=database` goes past the caches. */
import type { FastifyInstance } from 'fastify'
import { createService, ID_IN_PATH, type Troubles } from './http.ts'
import type { ProductPages } from './product-pages.ts'

const PRODUCT = {
  ...ID_IN_PATH,
  querystring: { type: 'object', additionalProperties: false, properties: { source: { enum: ['tier', 'database'] } } },
} as const

export function createProductService(pages: ProductPages, troubles: Troubles): FastifyInstance {
  const service = createService('product', troubles)
  service.get<{ Params: { id: string }; Querystring: { source?: 'tier' | 'database' } }>(
    '/products/:id',
    { schema: PRODUCT },
    async (request, reply) => {
      const { id } = request.params
      const { product, outcome } =
        request.query.source === 'database' ? { product: await pages.readStraight(id), outcome: 'database' } : await pages.read(id)
      reply.header('x-cache', outcome)
      return product ?? reply.code(404).send({ error: `there is no product ${id}` })
    },
  )
  return service
}
