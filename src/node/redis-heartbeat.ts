/**
 * Finds a link dead that looks alive.
 *
 * A socket whose other side has gone without a word stays open for minutes. Each client of a link is asked every second, and has that long to
 * answer: so a dead one is noticed within two.
 */
import type { Clock, Timer } from '../clock.ts'
import type { RedisClient } from './redis-client.ts'

/** A heartbeat every so often, answered before the next one, ms. */
const HEARTBEAT_MS = 1_000

export class RedisHeartbeat {
  readonly #clock: Pick<Clock, 'after'>
  readonly #dead: (reason: string) => void
  #timer: Timer | undefined

  /** @param dead called once after each `start` whose clients came to give no answer */
  constructor(clock: Pick<Clock, 'after'>, dead: (reason: string) => void) {
    this.#clock = clock
    this.#dead = dead
  }

  start(clients: readonly RedisClient[]): void {
    this.stop()
    this.#beat(clients)
  }

  /** No timer is left. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #beat(clients: readonly RedisClient[]): void {
    let answers = 0
    for (const client of clients) {
      client.callBuffer('PING', []).then(
        () => {
          answers++
        },
        () => {},
      )
    }
    this.#timer = this.#clock.after(HEARTBEAT_MS, () => {
      if (answers < clients.length) this.#dead('no answer to a heartbeat')
      else this.#beat(clients)
    })
  }
}
