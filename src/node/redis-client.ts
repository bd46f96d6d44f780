/**
 * One ioredis client, tamed: it connects once to one address, or fails; it queues, retries and reconnects nothing by itself.
 *
 * What must be bounded, resent or followed is decided above (`redis-link.ts`, `batcher.ts`), so every such habit of the client is off.
 * ioredis is an optional peer: it is loaded when the first node connects, and typed by structure, so that its types are nobody's dependency.
 */
import { asError, ConfigurationError } from '../errors.ts'
import type { RedisAddress } from './redis-address.ts'

/** The part of ioredis that is used. Replies are buffers, numbers, nulls and arrays of them. */
export interface RedisClient {
  readonly status: string
  readonly stream?: { readonly writable: boolean } | undefined
  connect(): Promise<void>
  disconnect(): void
  mgetBuffer(keys: readonly string[]): Promise<(Buffer | null)[]>
  callBuffer(command: string, args: readonly (string | number | Buffer)[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  once(event: string, listener: (...args: never[]) => void): unknown
}

type ClientClass = new (options: object) => RedisClient

let loading: Promise<ClientClass> | undefined

/** @throws ConfigurationError when ioredis is not installed */
export function loadClientClass(): Promise<ClientClass> {
  loading ??= import('ioredis').then(
    (module) => module.Redis as unknown as ClientClass,
    (cause) => {
      loading = undefined
      throw new ConfigurationError('redisNode: needs the package ioredis, version 6 (npm install ioredis), but it could not be loaded', {
        cause,
      })
    },
  )
  return loading
}

export interface ClientOptions {
  readonly address: RedisAddress
  /** One of the addresses that the host's name stands for. */
  readonly ip: string
  readonly connectTimeoutMs: number
  /**
   * Of the Redis serialization protocol. 3 costs no more and needs one round trip less to log in; subscribers take 2, for in protocol 3 the
   * client drops the messages of client tracking.
   */
  readonly protocol: 2 | 3
}

/** How long a socket that was told to end may linger, ms: a frozen server does not end its side. */
const LINGER_MS = 50

/** A client that has not connected yet. */
export async function createClient(options: ClientOptions): Promise<RedisClient> {
  const { address, ip, connectTimeoutMs, protocol } = options
  const Client = await loadClientClass()
  return new Client({
    host: ip,
    port: address.port,
    db: address.database,
    username: address.username,
    password: address.password,
    ...(address.tls === undefined ? {} : { tls: { servername: ip === address.host ? '' : address.host, ...address.tls } }),
    protocol,
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: LINGER_MS,
    keepAlive: 5_000,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    maxRetriesPerRequest: null,
    retryStrategy: null,
  })
}

/** Connects and logs in; rejects with the first cause there was, where the client's own says only that it is closed. */
export async function connectClient(client: RedisClient): Promise<void> {
  let first: Error | undefined
  client.on('error', (error: Error) => {
    first ??= error
  })
  try {
    await client.connect()
  } catch (thrown) {
    throw first ?? asError(thrown)
  }
}

/** Whether what is written now goes out; if not, the client refuses it, and it is certain that it was not sent. */
export function isWritable(client: RedisClient): boolean {
  return client.status === 'ready' && client.stream?.writable === true
}

/** Closes the socket and resolves once it is closed. What was under way fails. */
export function endClient(client: RedisClient): Promise<void> {
  if (client.status === 'end') return Promise.resolve()
  return new Promise((resolve) => {
    client.once('end', () => resolve())
    client.disconnect()
  })
}
