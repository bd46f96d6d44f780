/**
 * One piece of work per key at a time: whoever asks while it is under way joins it.
 *
 * (The idea and name are groupcache's.) What a flight is, and what those who join it are told, is its owner's; here is kept which one is
 * under way, and how many.
 */

/** How many keys may be in flight at once in one process. */
const MAX_FLIGHTS = 65_536

export class SingleFlight<F> {
  readonly #flights = new Map<string, F>()
  readonly #maxFlights: number

  constructor(maxFlights = MAX_FLIGHTS) {
    this.#maxFlights = maxFlights
  }

  /** The key's flight, to be joined; undefined when there is none. */
  at(key: string): F | undefined {
    return this.#flights.get(key)
  }

  /** Whether no other key may take off. */
  get isFull(): boolean {
    return this.#flights.size >= this.#maxFlights
  }

  takeOff(key: string, flight: F): void {
    this.#flights.set(key, flight)
  }

  /** The flight is over; harmless when it is the key's no longer. */
  land(key: string, flight: F): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }

  /** Lets nobody join the key's flight any more: what it brings is out of date. Those on board keep their seats. */
  forget(key: string): void {
    if (this.#flights.size > 0) this.#flights.delete(key)
  }

  get most(): number {
    return this.#maxFlights
  }

  get size(): number {
    return this.#flights.size
  }
}
