/**
 * What the toxic proxy is tried on: real sockets on loopback, an echo behind it, clients before it, and a clock that stands still.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { systemClock } from '../clock.ts'
import { FakeClock } from './fake-clock.ts'
import { startToxicProxy, type ToxicProxy, type ToxicProxyOptions } from './toxic-proxy.ts'

export const SOON = { timeout: 20_000 }

const turn = (): Promise<void> => new Promise((resolve) => systemClock.soon(resolve))

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}

/** Long enough, in turns of the event loop, for loopback to bring what it would bring. */
export async function whileNothingComes(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn()
}

/** A server with an ear: what it heard, who is connected, and an echo unless told otherwise. */
export interface Echo {
  readonly port: number
  readonly sockets: Socket[]
  readonly ends: string[]
  heard: string
  echoes: boolean
}

async function echoServer(t: TestContext): Promise<Echo> {
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('data', (bytes) => {
      echo.heard += bytes.toString('latin1')
      if (echo.echoes) socket.write(bytes)
    })
    socket.on('end', () => {
      echo.ends.push('end')
      socket.end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => echo.ends.push(error.code ?? ''))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const echo: Echo = { port: (server.address() as AddressInfo).port, sockets, ends: [], heard: '', echoes: true }
  return echo
}

export class Client {
  readonly socket: Socket
  /** One a read. */
  readonly chunks: string[] = []
  readonly ends: string[] = []

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (bytes) => this.chunks.push(bytes.toString('latin1')))
    this.socket.on('end', () => this.ends.push('end'))
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.ends.push(error.code ?? ''))
  }

  get text(): string {
    return this.chunks.join('')
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  async says(text: string): Promise<void> {
    const wanted = this.text + text
    this.send(text)
    await until(() => this.text.length >= wanted.length)
    assert.equal(this.text, wanted)
  }

  ended(): Promise<void> {
    return until(() => this.ends.length > 0)
  }
}

export interface Stage {
  readonly echo: Echo
  readonly proxy: ToxicProxy
  readonly clock: FakeClock
  client(port?: number): Client
}

export async function stage(t: TestContext, options: Partial<ToxicProxyOptions> = {}): Promise<Stage> {
  const echo = await echoServer(t)
  const clock = new FakeClock()
  const proxy = await startToxicProxy({ to: { host: '127.0.0.1', port: echo.port }, clock, ...options })
  const clients: Client[] = []
  t.after(async () => {
    for (const { socket } of clients) socket.destroy()
    await proxy.close()
    assert.equal(clock.pendingTimers, 0, 'a timer was left')
  })
  const client = (port = proxy.port): Client => {
    const made = new Client(port)
    clients.push(made)
    return made
  }
  return { echo, proxy, clock, client }
}
