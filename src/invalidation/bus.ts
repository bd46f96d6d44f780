/**
 * The contract of a bus: bytes to whoever listens now.
 *
 * It may lose, repeat and reorder; it keeps nothing for those who come later. What must not go unheard is numbered by who publishes
 * (`bus-invalidations.ts`). `memory-bus.ts` is for processes that are one, and for tests; `redis-bus.ts` for all others.
 */

export interface Listener {
  received(bytes: Uint8Array): void
  /**
   * Messages may have been missed.
   * @param hearing whether those from now on are received; if not, `lost` is called again when they are
   */
  lost(reason: string, hearing: boolean): void
}

export interface Bus {
  /** @param bytes at most 1 MiB; not changed afterwards. Rejects with a `RingtailError` when it is not certain that they went out. */
  publish(channel: string, bytes: Uint8Array): Promise<void>
  /** Resolves once messages are received, with the way to stop; rejects when that fails. */
  subscribe(channel: string, listener: Listener): Promise<() => Promise<void>>
  /** Calls after it fail with `ClosedError`. */
  close(): Promise<void>
}
