/**
 * What a Redis or Valkey server says of itself in INFO, and what of it is amiss for a node of a tier.
 */
import type { NodeStats } from './node.ts'

export type Info = ReadonlyMap<string, string>

/** @param text `name:value` lines under `# Section` headings */
export function parseInfo(text: string): Info {
  const info = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) info.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return info
}

export function statsOf(info: Info, entries: number): NodeStats {
  const number = (name: string): number => Number(info.get(name) ?? 0)
  const valkey = info.get('valkey_version')
  return {
    engine: valkey === undefined ? 'redis' : 'valkey',
    engineVersion: valkey ?? info.get('redis_version') ?? 'unknown',
    entries,
    usedBytes: number('used_memory'),
    maxBytes: number('maxmemory'),
    evicted: number('evicted_keys'),
    expired: number('expired_keys'),
    connections: number('connected_clients'),
  }
}

const RIGHT_POLICIES = ['volatile-lfu', 'volatile-lru']

/**
 * Pending entries, control records and hints carry no expiry and must not be evicted; everything else may be and should.
 * @returns what is wrong with the server's settings and what to set, or undefined
 */
export function misconfiguration(info: Info): string | undefined {
  const maxBytes = Number(info.get('maxmemory') ?? 0)
  const policy = info.get('maxmemory_policy')
  if (maxBytes === 0 || policy === undefined || RIGHT_POLICIES.includes(policy)) return undefined
  const harm = policy.startsWith('allkeys')
    ? 'entries that must be kept may be evicted'
    : 'writes are refused or the wrong entries evicted when it is full'
  return `maxmemory is ${maxBytes} with maxmemory-policy ${policy}: ${harm}. Set maxmemory-policy to volatile-lfu (or volatile-lru).`
}
