/**
 * A connection on which no answer is waited for without end.
 *
 * A server that is cut off says nothing: no refusal, no end. Then a query would wait for as long as the kernel tries, a quarter of an hour,
 * and so would the parting word of `end`. After its time a query fails, and the connection with it, for what comes later on it may answer
 * anything; `end` that takes longer than a second is cut short.
 */
import type { Clock } from '../clock.ts'
import { DeadlineError } from '../errors.ts'
import type { PgClient } from './pg-client.ts'

const END_MS = 1_000

/** @param answerMs of a query */
export function boundedClient(client: PgClient, clock: Pick<Clock, 'after'>, answerMs: number): PgClient {
  const cut = (): void => {
    client.connection.stream.destroy()
  }
  const bounded = async <T>(work: Promise<T>, ms: number, late: () => void): Promise<T> => {
    const timer = clock.after(ms, late, { keepAlive: true })
    try {
      return await work
    } finally {
      timer.cancel()
    }
  }
  return {
    connection: client.connection,
    connect: () => client.connect(),
    on: (event: 'error' | 'end', listener: (error: Error) => void) => client.on(event as 'error', listener),
    query: (query) => {
      const late = Promise.withResolvers<never>()
      return bounded(Promise.race([client.query(query), late.promise]), answerMs, () => {
        late.reject(new DeadlineError(`capture: the database did not answer within ${answerMs} ms`))
        cut()
      })
    },
    end: () => {
      const ended = Promise.withResolvers<void>()
      return bounded(Promise.race([client.end(), ended.promise]), END_MS, () => {
        cut()
        ended.resolve()
      })
    },
  }
}
