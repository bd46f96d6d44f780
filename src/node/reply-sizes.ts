/**
 * What a read is likely to bring back.
 *
 * A batch is bounded in bytes, but a read's bytes are known only afterwards. Values of one cache are alike, so the mean of late replies
 * serves for most keys; the few keys whose values are far larger are remembered by name, so that they travel in batches and a lane of
 * their own and nobody's small value waits behind more than one of them. A wrong guess costs a longer batch once, never an answer.
 *
 * The limit: at most `REMEMBERED` large keys, the longest unseen forgotten first.
 */

/** From this size on a value is large: an eighth of what a batch may hold, so that sixteen times the mean share at 128 keys. */
export const LARGE_BYTES = 32 * 1024
const REMEMBERED = 4_096
export class ReplySizes {
  readonly #large = new Map<string, number>()
  /** Bytes expected of a key about which nothing is known. */
  mean = 512

  /** @returns the size of a value known to be large, 0 for any other */
  largeBytes(key: string): number {
    return this.#large.size === 0 ? 0 : (this.#large.get(key) ?? 0)
  }

  /**
   * What a batch brought. The mean rises to what it saw at once, for too low a guess is what costs; it falls by half a batch at most, so that
   * batches grow again as a TCP window does after a loss.
   * @param guessed whether these were keys about which nothing was known
   */
  learn(keys: readonly string[], replies: readonly (Uint8Array | null)[], guessed: boolean): void {
    let total = 0
    let found = 0
    for (let i = 0; i < replies.length; i++) {
      const bytes = replies[i]?.length ?? 0
      if (bytes >= LARGE_BYTES) this.#remember(keys[i]!, bytes)
      else if (this.#large.size > 0) this.#large.delete(keys[i]!)
      if (bytes === 0) continue
      total += bytes
      found++
    }
    if (guessed && found > 0) this.mean = Math.max(total / found, this.mean / 2)
  }

  #remember(key: string, bytes: number): void {
    this.#large.delete(key)
    this.#large.set(key, bytes)
    if (this.#large.size > REMEMBERED) for (const oldest of this.#large.keys()) return void this.#large.delete(oldest)
  }
}
