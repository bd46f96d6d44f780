/**
 * One ioredis client, tamed: it connects once to one address, or fails; it queues, retries and reconnects nothing by itself.
 *
 * What must be bounded, resent or followed is decided above (`redis-link.ts`, `batcher.ts`), so every such habit of the client is off.
 * ioredis is an optional peer: it is loaded when the first node connects, and typed by structure, so that its types are nobody's dependency.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { asError, ConfigurationError } from '../errors.ts'
import type { RedisAddress } from './redis-address.ts'
import { isErrorReply, nodeError } from './redis-reply.ts'
import { type Awaiting, type Channel, RespChannel } from './resp-channel.ts'
import type { Reply } from './resp-reader.ts'
import { connectInSlabs } from './slab-socket.ts'

/** The part of ioredis that is used. Replies are buffers, numbers, nulls and arrays of them. */
export interface RedisClient {
  readonly status: string
  readonly stream?: Duplex | undefined
  /** Commands without a reply yet. Not of ioredis' public interface: it may go. */
  readonly commandQueue?: { readonly length: number } | undefined
  connect(): Promise<void>
  disconnect(): void
  mgetBuffer(keys: readonly string[]): Promise<(Buffer | null)[]>
  callBuffer(command: string, args: readonly (string | number | Buffer)[]): Promise<Reply>
  subscribe(channel: string): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  once(event: string, listener: (...args: never[]) => void): unknown
}

type ClientClass = new (options: object) => RedisClient

/** Makes a client's socket, and ends it: the class that the client's option `Connector` is to extend. */
type ConnectorClass = new (disconnectTimeoutMs: number) => { connecting: boolean; stream: Socket; firstError?: Error }

interface ClientModule {
  readonly Redis: ClientClass
  readonly AbstractConnector: ConnectorClass
}

let loading: Promise<ClientModule> | undefined

/** @throws ConfigurationError when ioredis is not installed */
export function loadClient(): Promise<ClientModule> {
  loading ??= import('ioredis').then(
    (module) => module as unknown as ClientModule,
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

interface ConnectorOptions {
  readonly host: string
  readonly port: number
  readonly disconnectTimeout: number
}

/** How long a socket that was told to end may linger, ms: a frozen server does not end its side. */
const LINGER_MS = 50

/** A client that has not connected yet. */
export async function createClient(options: ClientOptions): Promise<RedisClient> {
  const { address, ip, connectTimeoutMs, protocol } = options
  const { Redis, AbstractConnector } = await loadClient()
  return new Redis({
    host: ip,
    port: address.port,
    ...(address.tls === undefined ? { Connector: slabConnector(AbstractConnector) } : {}),
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

/** Node has slabs for plain sockets alone: those of TLS are the client's own. */
function slabConnector(Connector: ConnectorClass): new (options: ConnectorOptions) => object {
  return class extends Connector {
    readonly #options: ConnectorOptions

    constructor(options: ConnectorOptions) {
      super(options.disconnectTimeout)
      this.#options = options
    }

    /** Async, so that an address that is none rejects, after which the client ends, rather than throws, after which it never would. */
    async connect(): Promise<Socket> {
      this.connecting = true
      this.stream = connectInSlabs(this.#options.host, this.#options.port)
      this.stream.once('error', (error) => {
        this.firstError = error
      })
      return this.stream
    }
  }
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

/**
 * What a connected client's commands go through from here on, in place of its own methods: its socket is read and written by `RespChannel`,
 * at a third of the client's cost a key, while the client goes on noticing the connection's end and closing it. It writes nothing of its own
 * once it is connected, with the options above. Were its insides to look otherwise one day than they do now (one listener for the socket's
 * data, no command under way), its methods are used after all: slower, and just as right.
 */
export function openChannel(client: RedisClient, node: string): Channel {
  const { stream, commandQueue } = client
  const readers = stream?.listeners('data') ?? []
  if (stream === undefined || commandQueue?.length !== 0 || readers.length !== 1) return clientChannel(client, node)
  stream.off('data', readers[0] as () => void)
  return new RespChannel(stream, node)
}

function clientChannel(client: RedisClient, node: string): Channel {
  const tell = (reply: Promise<Reply>, awaiting: Awaiting): void => {
    const failed = (thrown: unknown): void => {
      if (isErrorReply(thrown)) awaiting.replied(thrown)
      else awaiting.lost(nodeError(thrown, node))
    }
    reply.then((each) => awaiting.replied(each), failed)
  }
  return {
    mget: (keys, awaiting) => tell(client.mgetBuffer(keys), awaiting),
    ask: (command, args, awaiting) => tell(client.callBuffer(command, args), awaiting),
    call: (command, args) => client.callBuffer(command, args),
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
