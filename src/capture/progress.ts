/**
 * How far a follower is behind: between what the database had at some moments and what is told of it since.
 *
 * From time to time the database is asked how far it is. When all up to there is told, all that had been committed before that moment is.
 * So the lag is not a guess by the last change that came: a follower that hears nothing because nothing happens, and one that hears nothing
 * because it is cut off, differ.
 */

/** One moment, and how far the database was. */
interface Probe {
  /** Before it was asked, monotonic ms. */
  readonly atMs: number
  readonly place: bigint
}

interface Waiter {
  readonly sinceMs: number
  readonly resolve: () => void
}

export class Progress {
  /** How far all is told. */
  place = 0n
  /** How far the database was when it was last asked. */
  latest: bigint | undefined
  /** Those that are not reached: of many the oldest, the last and one between. */
  #open: Probe[] = []
  #waiters: Waiter[] = []

  /** Since when, monotonic ms, something may have been committed that is not told; undefined: nothing is known to be. */
  get openSinceMs(): number | undefined {
    return this.#open[0]?.atMs
  }

  probe(place: bigint, atMs: number): void {
    this.latest = place
    if (this.#open.length === 3) this.#open.splice(1, 1)
    this.#open.push({ place, atMs })
    this.#check()
  }

  reach(place: bigint): void {
    if (place > this.place) this.place = place
    this.#check()
  }

  /** Another connection begins: what was asked of the one before is not answered any more. */
  restart(): void {
    this.#open = []
    this.latest = undefined
  }

  /** Resolves when a probe from `sinceMs` on is reached. */
  reached(sinceMs: number): { readonly promise: Promise<void>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { sinceMs, resolve }
    this.#waiters.push(waiter)
    return {
      promise,
      cancel: () => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter)
      },
    }
  }

  #check(): void {
    let reached: Probe | undefined
    while (this.#open.length > 0 && this.#open[0]!.place <= this.place) reached = this.#open.shift()
    if (reached === undefined) return
    const { atMs } = reached
    this.#waiters = this.#waiters.filter(({ sinceMs, resolve }) => {
      if (sinceMs > atMs) return true
      resolve()
      return false
    })
  }
}
