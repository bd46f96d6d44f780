/**
 * Where a Redis node is and how to be let in, from a URL or an object.
 *
 * An address is where a node is today; its id is who it is. The id may default to the address as it was written, but never follows what
 * the name resolves to: names are looked up anew on every connection, and all their addresses tried. No message shows a password.
 */
import type { ConnectionOptions } from 'node:tls'
import { ConfigurationError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'

/** A server given by its parts instead of a URL. */
export interface RedisTarget {
  readonly host: string
  /** Default 6379. */
  readonly port?: number
  /** Number of the logical database. Default 0. */
  readonly database?: number
}

export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly database: number
  readonly username: string | undefined
  readonly password: string | undefined
  /** Undefined: no TLS. */
  readonly tls: ConnectionOptions | undefined
}

export interface Credentials {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly tls?: boolean | ConnectionOptions | undefined
}

/** All addresses of a name, the preferred one first. */
export type Lookup = (host: string) => Promise<readonly string[]>

/** The system's own resolver, hosts file included; an address is its own. */
export const systemLookup: Lookup = async (host) => {
  // Loaded here, so that importing the library is quick also where no node is Redis.
  const { isIP } = process.getBuiltinModule('node:net')
  if (isIP(host) !== 0) return [host]
  const { lookup } = process.getBuiltinModule('node:dns/promises')
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => address)
}

const NEEDED = "a URL such as 'redis://10.0.0.1:6379', 'rediss://user:password@cache.example' or an object { host, port }"

/** @throws ConfigurationError when it is neither a URL nor a target @param given credentials that stand over those of a URL */
export function redisAddress(target: string | RedisTarget, given: Credentials): RedisAddress {
  const parsed = typeof target === 'string' ? fromUrl(target) : fromTarget(target)
  const tls = given.tls ?? parsed.tls
  return {
    host: parsed.host,
    port: parsed.port,
    database: parsed.database,
    username: given.username ?? parsed.username,
    password: given.password ?? parsed.password,
    tls: tls === true ? {} : tls === false ? undefined : tls,
  }
}

/** Without credentials. */
export function urlOf({ host, port, database, tls }: Pick<RedisAddress, 'host' | 'port' | 'database' | 'tls'>): string {
  const name = host.includes(':') ? `[${host}]` : host
  return `${tls === undefined ? 'redis' : 'rediss'}://${name}:${port}${database === 0 ? '' : `/${database}`}`
}

type Parsed = Pick<RedisAddress, 'host' | 'port' | 'database'> & Credentials

function fromUrl(text: string): Parsed {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw ConfigurationError.of('redisNode', NEEDED, withoutCredentials(text))
  }
  const scheme = /^(redis|valkey)(s?):$/.exec(url.protocol)
  const database = /^\/?(\d*)$/.exec(url.pathname)
  if (scheme === null || url.hostname === '' || database === null || url.search !== '' || url.hash !== '') {
    throw ConfigurationError.of('redisNode', NEEDED, withoutCredentials(text))
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    database: Number(database[1]),
    username: url.username === '' ? undefined : decodeURIComponent(url.username),
    password: url.password === '' ? undefined : decodeURIComponent(url.password),
    tls: scheme[2] === 's' ? true : undefined,
  }
}

function fromTarget(target: RedisTarget): Parsed {
  knownOptions(target, 'redisNode', ['host', 'port', 'database'])
  if (typeof target.host !== 'string' || target.host === '')
    throw ConfigurationError.of('redisNode: host', 'a name or an address', target.host)
  return {
    host: target.host,
    port: wholeNumber(target.port ?? 6379, 'redisNode: port', 1, 65_535),
    database: wholeNumber(target.database ?? 0, 'redisNode: database', 0),
  }
}

function withoutCredentials(text: string): string {
  return typeof text === 'string' ? text.replace(/\/\/.*@/, '//…@') : text
}
