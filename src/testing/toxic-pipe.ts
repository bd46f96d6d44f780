/**
 * One direction of one connection: from a socket that is read to one that is written, by the toxics of the moment.
 *
 * What comes waits in a line with the moment in which it came, and the line's head is judged when its turn is near: so order is kept
 * whatever is drawn, a change of the toxics holds for what already waits, and the lateness of one timer is not added to the next. The end
 * of the stream and its reset wait in the same line. Memory is bounded: a line that is full stops the reading, and TCP stops the sender.
 */
import type { Socket } from 'node:net'
import type { Clock, Random, Timer } from '../clock.ts'
import { isHarmless, type Toxics } from './toxics.ts'

export interface ToxicPipeParts {
  readonly source: Socket
  readonly sink: Socket
  readonly clock: Clock
  readonly random: Random
  readonly toxics: Toxics
  /** Bytes that may wait; exceeded by less than one read. */
  readonly maxHeldBytes: number
  /** Told of what was handed to the sink. */
  forwarded(bytes: number): void
  /** Told of what came to wait (positive) and of what waits no longer (negative). */
  held(bytes: number): void
  /** Resets both sides. */
  reset(): void
}

interface Waiting {
  readonly cameMs: number
  /** In [0, 1): its part of the jitter. */
  readonly luck: number
  readonly what: Buffer | 'end' | 'reset'
  sentBytes: number
}

/** What goes next: the line's head or the first part of it, and when. */
interface Piece {
  readonly bytes: number
  readonly atMs: number
}

/** Chunks that may wait, however small they are. */
const MAX_CHUNKS = 16_384
/** Where bandwidth is short, bytes come in about as many parts a second. */
const PARTS_PER_SECOND = 100

export class ToxicPipe {
  readonly #parts: ToxicPipeParts
  readonly #line: Waiting[] = []
  #toxics: Toxics
  #isHarmless: boolean
  #heldBytes = 0
  #piece: Piece | undefined
  /** When the last piece was due: the next one is counted from then, however late it went. */
  #freeMs = 0
  #leftUntilReset: number | undefined
  #timer: Timer | undefined
  /** The last piece is still alone on its way, so that the receiver reads it for itself; or it is the last before a reset. */
  #isWaitingForPiece = false
  #end: 'end' | 'reset' | undefined

  constructor(parts: ToxicPipeParts) {
    this.#parts = parts
    this.#toxics = parts.toxics
    this.#isHarmless = isHarmless(parts.toxics)
    this.#leftUntilReset = parts.toxics.resetAfterBytes
    const { source, sink } = parts
    source.on('data', (bytes: Buffer) => this.#came(bytes))
    source.on('end', () => this.#ended('end'))
    source.on('error', () => {})
    // Whatever tore it, and wherever: a stream that did not end both ways in order was reset.
    source.on('close', () => {
      if (!(source.readableEnded && source.writableFinished)) this.#ended('reset')
    })
    sink.on('drain', () => this.#pump())
    sink.on('close', () => this.stop())
    this.#steer()
  }

  /** @param isCountNew whether `resetAfterBytes` is counted from now */
  change(toxics: Toxics, isCountNew: boolean): void {
    this.#toxics = toxics
    this.#isHarmless = isHarmless(toxics)
    if (isCountNew) this.#leftUntilReset = toxics.resetAfterBytes
    this.#piece = undefined
    this.#pump()
  }

  /** Forgets what waits; nothing comes through any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#line.length = 0
    this.#hold(-this.#heldBytes)
    this.#steer()
  }

  #came(bytes: Buffer): void {
    const { sink, clock, random } = this.#parts
    if (sink.destroyed) return
    if (this.#isHarmless && this.#line.length === 0 && !this.#isWaitingForPiece) {
      sink.write(bytes)
      this.#parts.forwarded(bytes.length)
      this.#steer()
    } else {
      this.#line.push({ cameMs: clock.monotonic(), luck: random(), what: bytes, sentBytes: 0 })
      this.#hold(bytes.length)
      this.#pump()
    }
  }

  /** A stream that has ended in order may still be reset, where its peer is gone before it has read everything. */
  #ended(end: 'end' | 'reset'): void {
    const { sink, reset } = this.#parts
    if (this.#end === 'reset' || this.#end === end || sink.destroyed) return
    this.#end = end
    if (this.#isUnheardOf) {
      reset()
      return
    }
    this.#line.push({ cameMs: this.#parts.clock.monotonic(), luck: 0, what: end, sentBytes: 0 })
    this.#pump()
  }

  /** Sends what is due, and sees to it that it is called again for what is not. */
  #pump(): void {
    const { sink, clock } = this.#parts
    this.#timer?.cancel()
    while (this.#line.length > 0 && !this.#toxics.blackhole && !this.#isWaitingForPiece && !sink.destroyed && !sink.writableNeedDrain) {
      const head = this.#line[0]!
      this.#piece ??= this.#nextPiece(head)
      const waitMs = this.#piece.atMs - clock.monotonic()
      if (waitMs > 0) {
        this.#timer = clock.after(waitMs, () => this.#pump())
        break
      }
      if (typeof head.what !== 'string') this.#send(head, head.what, this.#piece)
      else if (this.#line.shift()!.what === 'end') sink.end()
      else this.#parts.reset()
      this.#piece = undefined
    }
    this.#steer()
  }

  #nextPiece({ what, cameMs, luck, sentBytes }: Waiting): Piece {
    const { latencyMs = 0, jitterMs = 0, bytesPerSecond, sliceBytes, cutAfterBytes = 0 } = this.#toxics
    const dueMs = cameMs + latencyMs + jitterMs * luck
    if (typeof what === 'string') return { bytes: 0, atMs: dueMs }
    let bytes = what.length - sentBytes
    if (sliceBytes !== undefined) bytes = Math.min(bytes, 1 + Math.floor(this.#parts.random() * sliceBytes))
    if (sentBytes < cutAfterBytes) bytes = Math.min(bytes, cutAfterBytes - sentBytes)
    if (this.#leftUntilReset !== undefined) bytes = Math.min(bytes, this.#leftUntilReset)
    if (bytesPerSecond === undefined) return { bytes, atMs: dueMs }
    bytes = Math.min(bytes, Math.max(1, Math.floor(bytesPerSecond / PARTS_PER_SECOND)))
    return { bytes, atMs: Math.max(dueMs, this.#freeMs) + (bytes / bytesPerSecond) * 1_000 }
  }

  #send(head: Waiting, all: Buffer, { bytes, atMs }: Piece): void {
    const { sink, reset, forwarded } = this.#parts
    const piece = all.subarray(head.sentBytes, head.sentBytes + bytes)
    head.sentBytes += bytes
    this.#freeMs = atMs
    if (head.sentBytes === all.length) this.#line.shift()
    this.#hold(-bytes)
    if (this.#leftUntilReset !== undefined) this.#leftUntilReset -= bytes
    forwarded(bytes)
    if (this.#leftUntilReset === 0) {
      this.#isWaitingForPiece = true
      sink.write(piece, () => reset())
      return
    }
    sink.write(piece)
    if (this.#toxics.sliceBytes !== undefined || this.#toxics.cutAfterBytes !== undefined) this.#leaveAlone()
  }

  /** For one whole turn of the event loop, in which a receiver in this process reads: the rest of the present one is none. */
  #leaveAlone(): void {
    const { clock } = this.#parts
    this.#isWaitingForPiece = true
    clock.soon(() =>
      clock.soon(() => {
        this.#isWaitingForPiece = false
        this.#pump()
      }),
    )
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#parts.held(bytes)
  }

  /** Its handshake would not have been answered: who leaves now leaves nothing that arrives later. */
  get #isUnheardOf(): boolean {
    return this.#toxics.blackhole === true && this.#parts.sink.pending
  }

  /** Reads on if there is a place for what would come. */
  #steer(): void {
    const { source, sink, maxHeldBytes } = this.#parts
    if (source.destroyed) return
    const isFull = this.#heldBytes >= maxHeldBytes || this.#line.length >= MAX_CHUNKS
    const isHeldUp = this.#toxics.blackhole === true && !this.#isUnheardOf
    if (isHeldUp || isFull || sink.destroyed || sink.writableNeedDrain) source.pause()
    else if (source.isPaused()) source.resume()
  }
}
