/**
 * Everything that was started, to be stopped in the reverse order.
 *
 * Each start registers its own undoing at once, so that an error or a Ctrl-C in the middle of start-up leaves nothing behind. Each undoing
 * has a bound: one that hangs does not keep the others from running. `now` is for the second Ctrl-C: no order, no waiting.
 */
export interface Undoing {
  readonly what: string
  /** In order, waiting until it is done. */
  readonly stop: () => Promise<unknown>
  /** At once, synchronously. */
  readonly now?: () => void
}

const STOP_WITHIN_MS = 10_000

export class UndoStack {
  readonly #undoings: Undoing[] = []
  #running: Promise<string[]> | undefined
  #isUndone = false

  /** What is added when all was already undone is undone at once. */
  add(undoing: Undoing): void {
    this.#undoings.push(undoing)
    if (this.#isUndone) void this.#undoAll()
  }

  /** Undoes all, newest first, once. @returns what went wrong, in words */
  run(): Promise<string[]> {
    this.#running ??= this.#undoAll()
    return this.#running
  }

  /** Undoes all that can be undone without waiting. */
  now(): void {
    for (const { now } of this.#undoings.splice(0).reverse()) {
      try {
        now?.()
      } catch {
        // The next one still has to go.
      }
    }
  }

  async #undoAll(): Promise<string[]> {
    const troubles: string[] = []
    for (let undoing = this.#undoings.at(-1); undoing !== undefined; undoing = this.#undoings.at(-1)) {
      try {
        await within(undoing.stop(), STOP_WITHIN_MS)
      } catch (error) {
        troubles.push(`${undoing.what}: ${error instanceof Error ? error.message : String(error)}`)
        undoing.now?.()
      }
      this.#undoings.pop()
    }
    this.#isUndone = true
    return troubles
  }
}

/** @throws Error when `work` takes longer than `ms` */
export async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
