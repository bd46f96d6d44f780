/**
 * Makes sure of nodes that the user named, before anything is built on them: each answers, and each is a server of its own.
 *
 * Two addresses of one server (`localhost` and 127.0.0.1, or two of its database numbers) would be two replicas that are lost together.
 * INFO's `run_id` tells them apart.
 */
import { Redis } from 'ioredis'
import { withoutPassword } from '../options.ts'
import { UsageError } from '../usage-error.ts'

const ANSWER_WITHIN_MS = 3_000

/** @throws UsageError that says which node is wrong, and why */
export async function tryNodes(urls: readonly string[]): Promise<void> {
  const seen = new Map<string, string>()
  const runIds = await Promise.all(urls.map(runIdOf))
  for (const [index, runId] of runIds.entries()) {
    const url = withoutPassword(urls[index]!)
    const same = seen.get(runId)
    if (same !== undefined) throw UsageError.of('--nodes', 'a server of its own for each node', `${url}, which is the server of ${same}`)
    seen.set(runId, url)
  }
}

async function runIdOf(url: string): Promise<string> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: ANSWER_WITHIN_MS,
    commandTimeout: ANSWER_WITHIN_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  // A wrong password or an unreachable address is told here; the call that fails with it says only that the connection is closed.
  let told: Error | undefined
  client.on('error', (error: Error) => {
    told ??= error
  })
  try {
    await client.connect()
    const runId = /^run_id:(\w+)/m.exec(await client.info('server'))?.[1]
    if (runId === undefined) throw new Error('its INFO has no run_id')
    return runId
  } catch (error) {
    const { message, code } = (told ?? error) as NodeJS.ErrnoException
    throw UsageError.of('--nodes', 'nodes that answer', `${withoutPassword(url)}: ${message || code}`)
  } finally {
    client.disconnect()
  }
}
