/**
 * A batcher whose connection is the test: what is sent piles up until the test lands or loses it, on a clock that stands still.
 */
import type { RingtailError } from '../errors.ts'
import type { Batch, Lane, Sink } from '../node/batch.ts'
import { Batcher } from '../node/batcher.ts'
import type { BatcherOptions } from '../node/batcher-options.ts'
import { FakeClock } from './fake-clock.ts'

export type Told = { slot: number; reply?: string | undefined; error?: RingtailError; sent?: boolean; atMs: number }
type Sent = Batch<string, string, string>

export function batcherRig(options: Partial<BatcherOptions<string>> = {}, clock: FakeClock = new FakeClock()) {
  const resets: string[] = []
  const batcher = new Batcher<string>({
    origin: 'n1',
    name: 'n1',
    clock,
    timeoutMs: 50,
    maxFlights: 2,
    maxBatchKeys: 128,
    maxBatchBytes: 256 * 1024,
    maxQueue: 10_000,
    maxQueueBytes: 1024 * 1024,
    resetAfterMs: 1_000,
    reset: (reason) => resets.push(reason),
    ...options,
  })
  const flying: Sent[] = []
  const sent: string[][] = []
  const told: Told[] = []
  const sink: Sink<string, string> = {
    answered: (reply, _origin, slot) => told.push({ slot, reply, atMs: clock.monotonic() }),
    failed: (error, _origin, slot, wasSent) => told.push({ slot, error, sent: wasSent, atMs: clock.monotonic() }),
  }
  const send = (batch: Sent) => {
    flying.push(batch)
    sent.push([...batch.requests])
  }
  const lane = batcher.lane<string, string>(send)
  let slots = 0
  const ask = (request: string, over: { bytes?: number; timeoutMs?: number; lane?: Lane<string, string, string> } = {}) => {
    batcher.add(over.lane ?? lane, request, sink, slots++, over.bytes ?? 100, over.timeoutMs)
  }
  const land = () => {
    const batch = flying.shift()
    if (batch !== undefined)
      batcher.land(
        batch,
        batch.requests.map((request) => `=${request}`),
      )
    return clock.settle()
  }
  return { clock, batcher, lane, send, sink, flying, sent, told, resets, ask, land }
}
