/**
 * One piece of work per key at a time: whoever asks while it is under way waits for the same result.
 *
 * (The idea and name are groupcache's.) A flight may stay joinable for a while after its result is known, until it has *landed*: a load is
 * over for those who wait for it when the store has answered, but whoever comes before the cache is filled had better share it too.
 */
import { OverloadError } from '../errors.ts'

export interface Flight<T> {
  readonly result: Promise<T>
  /** Until this settles, the flight can be joined. */
  readonly landed: Promise<unknown>
}

/** How many keys may be in flight at once in one process. */
const MAX_FLIGHTS = 65_536

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()
  readonly #maxFlights: number

  constructor(maxFlights = MAX_FLIGHTS) {
    this.#maxFlights = maxFlights
  }

  /** Joins the key's flight, or takes off. Rejects with OverloadError when too many keys are in flight. */
  join(key: string, takeOff: () => Flight<T>): Promise<T> {
    const existing = this.#flights.get(key)
    if (existing !== undefined) return existing.result
    if (this.#flights.size >= this.#maxFlights) {
      return Promise.reject(new OverloadError(`${this.#maxFlights} keys are being loaded already; the load of one more was shed`))
    }
    const flight = takeOff()
    this.#flights.set(key, flight)
    const land = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
    }
    flight.landed.then(land, land)
    return flight.result
  }

  /** Lets nobody join the key's flight any more: what it brings is out of date. Those on board keep their seats. */
  forget(key: string): void {
    this.#flights.delete(key)
  }

  get size(): number {
    return this.#flights.size
  }
}
