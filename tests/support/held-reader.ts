/**
 * A reader of a store whose answers the test gives by hand, so that a load can be held while other things happen.
 */
import type { Loaded, StoreReader } from '../../src/store/store.ts'
import { settled } from './cache-bench.ts'

interface HeldCall {
  readonly keys: readonly string[]
  readonly answer: PromiseWithResolvers<Loaded<string>>
  readonly signal: AbortSignal | undefined
  readonly withinMs: number | undefined
}

export class HeldReader implements StoreReader<string> {
  readonly name = 'held'
  readonly calls: HeldCall[] = []

  load(keys: readonly string[], call?: { signal?: AbortSignal | undefined; withinMs?: number | undefined }): Promise<Loaded<string>> {
    const answer = Promise.withResolvers<Loaded<string>>()
    this.calls.push({ keys, answer, signal: call?.signal, withinMs: call?.withinMs })
    return answer.promise
  }

  answer(nth: number, rows: Record<string, string>): Promise<void> {
    this.calls[nth]!.answer.resolve({ rows: new Map(Object.entries(rows).map(([key, value]) => [key, { value, version: 0n }])) })
    return settled()
  }

  fail(nth: number, reason: string): Promise<void> {
    this.calls[nth]!.answer.reject(new Error(reason))
    return settled()
  }

  stats() {
    return []
  }
}
