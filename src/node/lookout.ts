/**
 * Tells reads that their answers are late, while they are.
 *
 * Who is told may ask another node as well and go by the first answer (a hedge: Dean and Barroso, "The Tail at Scale", CACM 2013). A timer a
 * read would cost more than the read. So what is looked at are the batches of one connection, and one timer looks, while there are any: a
 * connection with nothing under way has none, and a busy one as many as its reads may be late, however many those are.
 *
 * As with deadlines, what has already arrived is read before anything is called late: a process that was held up blames itself.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Batch, Lane } from './batch.ts'
import type { NodeObserver } from './node.ts'

/** Sooner than this a timer is not worth setting, ms. */
const SHORTEST_MS = 1

export class Lookout<Origin> {
  readonly #clock: Clock
  readonly #observer: Pick<NodeObserver, 'lateAfterMs'>
  readonly #origin: Origin
  readonly #flying: readonly Batch<unknown, unknown, Origin>[]
  readonly #lanes: readonly Lane<unknown, unknown, Origin>[]
  #timer: Timer | undefined

  /** @param flying the batches under way, and @param lanes the lanes with those that wait: the batcher's own lists */
  constructor(
    clock: Clock,
    observer: Pick<NodeObserver, 'lateAfterMs'>,
    origin: Origin,
    flying: readonly Batch<unknown, unknown, Origin>[],
    lanes: readonly Lane<unknown, unknown, Origin>[],
  ) {
    this.#clock = clock
    this.#observer = observer
    this.#origin = origin
    this.#flying = flying
    this.#lanes = lanes
  }

  /** To be called for each batch of reads that is sent. */
  watch(): void {
    if (this.#timer === undefined) this.#arm(this.#observer.lateAfterMs)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(delayMs: number): void {
    if (delayMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.after(Math.max(SHORTEST_MS, delayMs), this.#onTimer)
  }

  readonly #onTimer = (): void => this.#clock.soon(this.#look)

  readonly #look = (): void => {
    if (this.#timer === undefined) return
    this.#timer = undefined
    const nowMs = this.#clock.monotonic()
    const { lateAfterMs } = this.#observer
    let nextMs = Number.POSITIVE_INFINITY
    const look = (batch: Batch<unknown, unknown, Origin>): void => {
      if (batch.toldLate || !batch.lane.reads) return
      const leftMs = batch.sinceMs + lateAfterMs - nowMs
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs)
      else this.#tell(batch)
    }
    for (const batch of [...this.#flying]) look(batch)
    for (const { waiting } of this.#lanes) for (const batch of [...waiting]) look(batch)
    if (this.#timer === undefined) this.#arm(nextMs)
  }

  #tell(batch: Batch<unknown, unknown, Origin>): void {
    batch.toldLate = true
    for (let at = 0; at < batch.sinks.length; at++) batch.sinks[at]?.late?.(this.#origin, batch.slots[at]!)
  }
}
