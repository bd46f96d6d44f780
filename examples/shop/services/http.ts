/**
 * What the three services have in common on HTTP: a port of their own, errors as JSON, `/healthz`.
 *
 * 4xx is the customer's, with the reason; 503 is ours and passes (a shard or the tier did not answer in time); 500 is a bug. What is behind
 * a 5xx is kept for the report (the last few), and not told to the customer.
 */
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import { RingtailError } from 'ringtail'
import { Refusal } from './refusal.ts'

export const ID = { type: 'string', minLength: 1, maxLength: 100, pattern: '^[^\\u0000]+$' } as const
export const ID_IN_PATH = { params: { type: 'object', required: ['id'], properties: { id: ID } } } as const

const KEPT_TROUBLES = 20
const MAX_BODY_BYTES = 256 * 1024
const REQUEST_WITHIN_MS = 5_000

/** What went wrong in the services, for the report: the last few, with a count. */
export class Troubles {
  count = 0
  readonly last: string[] = []

  add(trouble: string): void {
    this.count++
    this.last.push(trouble)
    if (this.last.length > KEPT_TROUBLES) this.last.shift()
  }
}

export function createService(name: string, troubles: Troubles): FastifyInstance {
  const service = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_WITHIN_MS,
    forceCloseConnections: true,
    // Refuse what does not fit rather than bend it.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  })
  service.setErrorHandler((error: FastifyError, _request, reply) => {
    const { status, told } = judge(error)
    if (status >= 500) troubles.add(`${name}: ${error.name}: ${error.message}`)
    return reply.code(status).send({ error: told })
  })
  service.setNotFoundHandler((request, reply) => reply.code(404).send({ error: `${name} has no ${request.method} ${request.url}` }))
  service.get('/healthz', async () => ({ service: name, ok: true }))
  return service
}

/** @returns the service's address */
export function listen(service: FastifyInstance): Promise<string> {
  return service.listen({ host: '127.0.0.1', port: 0 })
}

function judge(error: FastifyError): { status: number; told: string } {
  if (error instanceof Refusal) return { status: error.status, told: error.message }
  if (error.validation !== undefined) return { status: 400, told: error.message }
  if (error.statusCode !== undefined && error.statusCode < 500) return { status: error.statusCode, told: error.message }
  if (error instanceof RingtailError && error.code === 'CONFLICT')
    return { status: 409, told: 'changed by others at the same time: try again' }
  if (error instanceof RingtailError) return { status: 503, told: 'cannot answer just now: try again' }
  return { status: 500, told: 'something went wrong here' }
}
