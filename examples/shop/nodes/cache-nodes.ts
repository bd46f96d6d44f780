/**
 * The five nodes of the tier: servers of our own where there is one to run, else memory in this process, or those the user named.
 */
import { type CacheNode, memoryNode, redisNode } from 'ringtail'
import { findRedisServer, startRedisServer } from 'ringtail/testing'
import type { UndoStack } from '../lifecycle/undo.ts'
import { withoutPassword } from '../options.ts'

export const NODES = 5
const SERVER_BYTES = 128 * 1024 * 1024
const MEMORY_BYTES = 64 * 1024 * 1024

export interface StartedNodes {
  readonly nodes: readonly CacheNode[]
  /** Address by id; undefined for nodes in memory. */
  readonly nodeUrls: ReadonlyMap<string, string> | undefined
  /** What they are, in a sentence for the user. */
  readonly description: string
}

/** @param urls of running servers; none: nodes of our own */
export async function startNodes(urls: readonly string[], undo: UndoStack): Promise<StartedNodes> {
  if (urls.length > 0) {
    return {
      ...connected(new Map(urls.map((url) => [new URL(url).host, url]))),
      description: `${urls.length} cache nodes given: ${urls.map(withoutPassword).join(', ')}`,
    }
  }
  const ids = Array.from({ length: NODES }, (_, index) => `node-${index + 1}`)
  const command = findRedisServer()
  if (command === undefined) {
    const nodes = ids.map((id) => memoryNode({ id, maxBytes: MEMORY_BYTES }))
    return {
      nodes,
      nodeUrls: undefined,
      description: `${NODES} cache nodes in this process: no redis-server or valkey-server is on the PATH`,
    }
  }
  const servers = await Promise.all(
    ids.map(async () => {
      const server = await startRedisServer({ maxMemory: SERVER_BYTES, policy: 'volatile-lfu', engineCommand: command })
      undo.add({
        what: `${server.engine} on port ${server.port}`,
        stop: () => server.stop(),
        now: () => process.kill(server.pid, 'SIGKILL'),
      })
      return server
    }),
  )
  const { engine, version } = servers[0]!
  return {
    ...connected(new Map(servers.map(({ url }, index) => [ids[index]!, url]))),
    description: `${NODES} cache nodes: ${engine}-server ${version}, 128 MB each, volatile-lfu`,
  }
}

function connected(nodeUrls: ReadonlyMap<string, string>): Pick<StartedNodes, 'nodes' | 'nodeUrls'> {
  return { nodes: [...nodeUrls].map(([id, url]) => redisNode(url, { id })), nodeUrls }
}
