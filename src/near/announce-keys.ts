/**
 * Tells other processes which keys this one has changed, whether it keeps copies itself or not: they may.
 *
 * What was given as keys may be anything, for a batch's bad keys fail alone; of those nothing was changed and nothing is told.
 */
import type { KeyCodec } from '../codec/key.ts'
import type { Invalidations } from '../invalidation/invalidation.ts'

export function announceKeys(keys: readonly string[], parts: { readonly keys: KeyCodec; readonly invalidations: Invalidations }): void {
  const wires = keys.flatMap((key) => {
    try {
      return [parts.keys.encode(key)]
    } catch {
      return []
    }
  })
  if (wires.length > 0) parts.invalidations.announce(wires)
}
