/** Removes the entries of the shop's caches from nodes, and nothing else that lies there. */
import type { CacheNode } from 'ringtail'

export async function clearEntries(nodes: readonly CacheNode[], caches: readonly string[]): Promise<void> {
  await Promise.all(
    nodes.map(async (node) => {
      for (const cache of caches) {
        for await (const keys of node.scan(`rt:${cache}:`)) {
          await node.apply(
            keys.map((key) => ({ op: 'drop', key })),
            { timeoutMs: 2_000 },
          )
        }
      }
    }),
  )
}
