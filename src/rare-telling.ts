/**
 * Keeps an event rare that a failing tier would tell of at every call: at most one a second of each event and payload's kind, so that
 * listeners see that it goes on without being flooded. Everything is counted in the metrics.
 */
import type { Clock } from './clock.ts'
import type { Emit } from './events.ts'

const EVERY_MS = 1_000

export function rareTelling(clock: Clock, emit: Emit): Emit {
  const lastMs = new Map<string, number>()
  return (name, payload) => {
    const kind = 'operation' in payload ? `${name} ${payload.operation}` : name
    const nowMs = clock.monotonic()
    const last = lastMs.get(kind)
    if (last !== undefined && nowMs - last < EVERY_MS) return
    lastMs.set(kind, nowMs)
    emit(name, payload)
  }
}
