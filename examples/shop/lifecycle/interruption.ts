/**
 * Ctrl-C, SIGTERM and a closed terminal, as an AbortSignal.
 *
 * The first one asks for an orderly stop; the second one forces. The handlers are in place before anything is started.
 */
export interface Interruption {
  readonly signal: AbortSignal
  /** Which signal came, if one did. */
  readonly name: () => NodeJS.Signals | undefined
  /** As if that signal had come; without effect after a first one. */
  interrupt(name: NodeJS.Signals): void
  /** Gives the signals back to Node's default. */
  release(): void
}

/** npm passes on the Ctrl-C that the terminal has sent us already: signals this close to the first one are the same key. */
const SAME_KEY_MS = 500

/** @param onForce what the second signal does; the process should end in it */
export function listenForInterruption(onForce: (name: NodeJS.Signals) => void): Interruption {
  const controller = new AbortController()
  let first: NodeJS.Signals | undefined
  let firstMs = 0
  const onSignal = (name: NodeJS.Signals) => {
    if (first !== undefined) {
      if (performance.now() - firstMs > SAME_KEY_MS) onForce(name)
      return
    }
    interrupt(name)
  }
  const interrupt = (name: NodeJS.Signals) => {
    if (first !== undefined) return
    first = name
    firstMs = performance.now()
    controller.abort(new Interrupted(name))
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    name: () => first,
    interrupt,
    release: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}

export class Interrupted extends Error {
  override readonly name = 'Interrupted'

  constructor(signal: string) {
    super(`stopped by ${signal}`)
  }
}

/** Rejects as soon as the signal does; the work goes on, and what it starts registers its own undoing. */
export function unlessInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => {})
    return Promise.reject(signal.reason)
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
