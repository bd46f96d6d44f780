/**
 * A call that its caller may give up: at a deadline, or by a signal. And work that is waited for no longer than so long.
 *
 * What cannot be right is refused before anything is begun, and a call that is given up before it began never begins. Work under way goes
 * on for whoever else waits for it; only this caller leaves.
 */
import type { Clock } from './clock.ts'
import { ConfigurationError, DeadlineError } from './errors.ts'
import { type CallOptions, durationMs, knownOptions } from './options.ts'

/** A caller's options, checked. */
export interface CallBounds {
  readonly signal: AbortSignal | undefined
  readonly deadlineMs: number | undefined
}

const NAMES = ['signal', 'deadline']

/** @param also names of further options that the call takes @throws ConfigurationError */
export function callBounds(options: CallOptions | undefined, what: string, also: readonly string[] = []): CallBounds | undefined {
  if (options === undefined) return undefined
  knownOptions(options, what, [...NAMES, ...also])
  const { signal, deadline } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw ConfigurationError.of(`${what}: signal`, 'an AbortSignal', signal)
  return { signal, deadlineMs: deadline === undefined ? undefined : durationMs(deadline, `${what}: deadline`) }
}

/**
 * Begins `work` and waits for it within the bounds. Rejects with the signal's reason or a DeadlineError when they are over first.
 * @param left told of work that its caller has left
 */
export function boundedCall<T>(
  work: () => Promise<T>,
  bounds: CallBounds | undefined,
  clock: Clock,
  what: string,
  left?: (work: Promise<T>) => void,
): Promise<T> {
  const signal = bounds?.signal
  const deadlineMs = bounds?.deadlineMs
  if (signal === undefined && deadlineMs === undefined) return work()
  if (signal?.aborted === true) return Promise.reject(signal.reason)
  return new Promise<T>((resolve, reject) => {
    let working: Promise<T> | undefined
    const giveUp = (reason: unknown): void => {
      done()
      if (working !== undefined) left?.(working)
      reject(reason)
    }
    const aborted = (): void => giveUp(signal!.reason)
    const late = (): void => giveUp(new DeadlineError(`${what}: not done within ${deadlineMs} ms`))
    const timer = deadlineMs === undefined ? undefined : clock.after(deadlineMs, late)
    const done = (): void => {
      timer?.cancel()
      signal?.removeEventListener('abort', aborted)
    }
    signal?.addEventListener('abort', aborted, { once: true })
    try {
      working = work()
    } catch (thrown) {
      giveUp(thrown)
      return
    }
    working.then(resolve, reject).finally(done)
  })
}

/** Resolves when the work is over, however it ends, or after so long. Keeps the process alive until then. */
export async function overWithin(work: Promise<unknown>, mostMs: number, clock: Clock): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = clock.after(mostMs, late.resolve, { keepAlive: true })
  await Promise.race([work.catch(() => {}), late.promise])
  timer.cancel()
}
