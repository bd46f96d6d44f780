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

  /** Undoes all that can be undone without waiting. @returns what went wrong, in words */
  now(): string[] {
    return this.#undoings.splice(0).reverse().flatMap(byForce)
  }

  async #undoAll(): Promise<string[]> {
    const troubles: string[] = []
    for (let undoing = this.#undoings.at(-1); undoing !== undefined; undoing = this.#undoings.at(-1)) {
      try {
        await within(undoing.stop(), STOP_WITHIN_MS)
      } catch (error) {
        troubles.push(told(undoing.what, error))
        troubles.push(...byForce(undoing))
      }
      this.#undoings.pop()
    }
    this.#isUndone = true
    return troubles
  }
}

/** Whatever it throws, the next one still has to go. */
function byForce({ what, now }: Undoing): string[] {
  try {
    now?.()
    return []
  } catch (error) {
    // No such process: it is gone already.
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? [] : [told(what, error)]
  }
}

function told(what: string, error: unknown): string {
  return `${what}: ${error instanceof Error ? error.message : String(error)}`
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
