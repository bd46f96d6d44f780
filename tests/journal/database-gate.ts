/**
 * A way to a database that can be shut: who is connected loses it, and who comes is refused, until it is opened again.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export class DatabaseGate {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isShut = false

  private constructor(port: number) {
    this.#server = createServer((inside) => {
      if (this.#isShut) {
        inside.destroy()
        return
      }
      const outside = connect(port, '127.0.0.1')
      for (const [one, other] of [[inside, outside] as const, [outside, inside] as const]) {
        this.#sockets.add(one)
        one.on('error', () => {})
        one.on('close', () => {
          this.#sockets.delete(one)
          other.destroy()
        })
        one.pipe(other)
      }
    })
  }

  /** @param port of the database, on this machine */
  static async before(port: number): Promise<DatabaseGate> {
    const gate = new DatabaseGate(port)
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    return gate
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  shut(): void {
    this.#isShut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  open(): void {
    this.#isShut = false
  }

  close(): void {
    this.shut()
    this.#server.close()
  }
}
