/**
 * What a Redis or Valkey server says of itself in INFO, and what of it is amiss for a node of a tier.
 */
import type { Emit, SettingAdvice } from '../events.ts'
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
    hits: number('keyspace_hits'),
    misses: number('keyspace_misses'),
    // Entries are read by MGET and judged by GETRANGE; nothing but control records is read by GET, except what a lease finds changed.
    controlReads: callsOf(info, 'get'),
    hintReads: callsOf(info, 'zrange') + callsOf(info, 'zscore'),
    connections: number('connected_clients'),
  }
}

/** Those of scripts too. */
function callsOf(info: Info, command: string): number {
  return Number(/^calls=(\d+)/.exec(info.get(`cmdstat_${command}`) ?? '')?.[1] ?? 0)
}

/** Tells of a server's settings, once, and again when they are others. */
export class SettingsJudge {
  readonly #node: string
  #misconfigured: string | undefined
  #advised = ''

  constructor(node: string) {
    this.#node = node
  }

  judge(info: Info, emit: Emit): void {
    const reason = misconfiguration(info)
    if (reason !== undefined && reason !== this.#misconfigured) emit('node:misconfigured', { node: this.#node, reason })
    this.#misconfigured = reason
    const advice = settingAdvice(info)
    const advised = advice.map(({ setting, found }) => `${setting} ${found}`).join()
    if (advised !== '' && advised !== this.#advised) emit('node:advised', { node: this.#node, advice })
    this.#advised = advised
  }
}

const RIGHT_POLICIES = ['volatile-lfu', 'volatile-lru']

/**
 * Pending entries, control records and hints carry no expiry and must not be evicted; everything else may be and should.
 * @returns what is wrong with the server's settings and what to set, or undefined
 */
function misconfiguration(info: Info): string | undefined {
  const maxBytes = Number(info.get('maxmemory') ?? 0)
  const policy = info.get('maxmemory_policy')
  if (maxBytes === 0 || policy === undefined || RIGHT_POLICIES.includes(policy)) return undefined
  const harm = policy.startsWith('allkeys')
    ? 'entries that must be kept may be evicted'
    : 'writes are refused or the wrong entries evicted when it is full'
  return `maxmemory is ${maxBytes} with maxmemory-policy ${policy}: ${harm}. Set maxmemory-policy to volatile-lfu (or volatile-lru).`
}

/**
 * What could be better, where nothing is wrong: judged by INFO alone, which managed services show too, and which `CONFIG` often they do not. How much
 * it is worth is measured, see docs/eviction.md.
 * @returns nothing where the server does not say what it runs with
 */
function settingAdvice(info: Info): SettingAdvice[] {
  const maxMemory = info.get('maxmemory')
  const policy = info.get('maxmemory_policy')
  const advice: SettingAdvice[] = []
  if (maxMemory === '0') {
    const reason = 'without a bound the server grows until the machine ends it, and with it all that it holds'
    advice.push({ setting: 'maxmemory', found: '0', recommended: 'about three quarters of the memory of its machine', reason })
  }
  const isRight = policy === undefined || policy === RIGHT_POLICIES[0]
  // Another policy under a bound is not advised against but refused: see `misconfiguration`.
  if (!isRight && (maxMemory === '0' || RIGHT_POLICIES.includes(policy))) {
    const reason = 'what is read often stays, so that more reads are hits in the same memory'
    advice.push({ setting: 'maxmemory-policy', found: policy, recommended: RIGHT_POLICIES[0]!, reason })
  }
  return advice
}
