/**
 * How far a follower is behind: between what the database had at some moments and what is told of it since.
 *
 * From time to time the database is asked how far it is. When all up to there is told, all that had been committed before that moment is;
 * of what was committed since nothing is known. So the lag is not a guess by the last change that came, and grows until the database has
 * answered again: a follower that hears nothing because nothing happens, and one that hears nothing because it is cut off, differ.
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
  /** How far all is told, of the connection there is; 0: nothing is known to be. */
  place = 0n
  /** How far the database was when it was last asked. */
  latest: bigint | undefined
  /** All that was committed before this is told, monotonic ms; undefined: it is not known of any moment. */
  toldMs: number | undefined
  /** Those that are not reached: of many the oldest, the last and one between. */
  #open: Probe[] = []
  #waiters: Waiter[] = []
  #reached = 0n
  #held = false

  probe(place: bigint, atMs: number): void {
    this.latest = place
    if (this.#open.length === 3) this.#open.splice(1, 1)
    this.#open.push({ place, atMs })
    this.#check()
  }

  reach(place: bigint): void {
    if (place > this.#reached) this.#reached = place
    this.#settle()
  }

  /** Something is owed that was to be told: until it is told, all stays where it is. */
  hold(held: boolean): void {
    this.#held = held
    this.#settle()
  }

  /**
   * Another connection begins: what was asked of the one before is not answered any more, and its places are none of this one's. For it may
   * be to another database, whose log is lower.
   */
  restart(): void {
    this.place = 0n
    this.#reached = 0n
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

  #settle(): void {
    if (!this.#held) this.place = this.#reached
    this.#check()
  }

  #check(): void {
    let reached: Probe | undefined
    while (this.#open.length > 0 && this.#open[0]!.place <= this.place) reached = this.#open.shift()
    if (reached === undefined) return
    const { atMs } = reached
    this.toldMs = Math.max(atMs, this.toldMs ?? atMs)
    this.#waiters = this.#waiters.filter(({ sinceMs, resolve }) => {
      if (sinceMs > atMs) return true
      resolve()
      return false
    })
  }
}
