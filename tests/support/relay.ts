/**
 * A relay of TCP connections whose far end can be changed, cut or made to say nothing, as networks and fail-overs do to a database's clients.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Relay {
  readonly port: number
  /** Where connections go that are made from now on. */
  to: number
  /** Nothing is passed on any more, not even that an end has closed. */
  silent: boolean
  /** Ends all connections there are. */
  cut(): void
  close(): Promise<void>
}

export async function startRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const relay: Relay = {
    port: (server.address() as { port: number }).port,
    to,
    silent: false,
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    async close() {
      relay.cut()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('connection', (near) => {
    const far = connect({ port: relay.to, host: '127.0.0.1', allowHalfOpen: true })
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (bytes) => {
        if (!relay.silent) onto.write(bytes)
      })
      from.on('error', () => {})
      from.on('end', () => {
        if (!relay.silent) onto.end()
      })
      from.on('close', () => {
        sockets.delete(from)
        if (!relay.silent) onto.destroy()
      })
    }
  })
  return relay
}
