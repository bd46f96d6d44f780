/**
 * Keeps events rare that a failing tier would tell of at every call: at most one a second of each name, operation and node, so that
 * listeners see that it goes on without being flooded. Everything is counted in the metrics.
 */
import type { Clock } from './clock.ts'
import type { Emit } from './events.ts'

const EVERY_MS = 1_000

export function rareTelling(clock: Clock, emit: Emit): Emit {
  const lastMs = new Map<string, number>()
  return (name, payload) => {
    // Few: names, operations and nodes are.
    const kind = `${name} ${'operation' in payload ? payload.operation : ''} ${'node' in payload ? payload.node : ''}`
    const nowMs = clock.monotonic()
    const last = lastMs.get(kind)
    if (last !== undefined && nowMs - last < EVERY_MS) return
    lastMs.set(kind, nowMs)
    emit(name, payload)
  }
}
