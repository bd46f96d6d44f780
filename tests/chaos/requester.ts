/**
 * The requests of one client: drawn, sent to its cache, judged by themselves and recorded for the history.
 *
 * An answer is right by itself if it is about the key that was asked for; whether it was current, the history tells. Whatever is about to be
 * written is noted before it is tried, for a process that is killed records nothing any more.
 */
import { type Cache, type Random, RingtailError, type Store } from '../../src/index.ts'
import type { Operation } from '../../src/testing/index.ts'
import { CHANGING_KEYS, changingKey, HERD_KEY, STALENESS_BOUND_MS, STEADY_KEYS, steadyKey } from './chaos-plan.ts'
import { type Held, PAD } from './database.ts'
import type { Arrival } from './open-loop.ts'
import { type RequestKind, RequestLog, type RequestResult } from './request-log.ts'

/** Of all requests. */
const SHARES: readonly (readonly [RequestKind, number])[] = [
  ['write', 0.08],
  ['delete', 0.02],
  ['many', 0.05],
  ['read', 1],
]
const KEYS_OF_MANY = 4
/** Values of one life of one process do not reach those of the next. */
const VALUES = 100_000_000

/** What is never changed any owner may answer, and hot keys are spread at this level alone. */
const SPREAD = { reads: 'nearest' } as const

const MOST_MESSAGES = 8

/** A change before it is tried. */
export type Tried = Omit<Operation, 'returnMs' | 'outcome'>

/** Where what a client does and sees is noted. */
export interface RequestNotes {
  tries(change: Tried): void
  /** An acknowledgement that nobody knows of cannot be lost: it is to be kept at once. */
  changed(change: Operation): void
  saw(read: Operation): void
  close(): void
}

export interface RequesterParts {
  readonly cache: Cache<Held>
  readonly store: Store<Held>
  readonly random: Random
  /** From 0; and how many have had its place before: their values are not written again. */
  readonly process: number
  readonly life: number
  /** See `RowSetting`. */
  readonly staleShards: readonly number[]
  readonly nowMs: () => number
  readonly notes: RequestNotes
}

export class Requester {
  readonly log = new RequestLog()
  /** Of errors, the first few, each once. */
  readonly messages = new Set<string>()
  readonly #parts: RequesterParts
  readonly #staleShards: ReadonlySet<number>
  readonly #shards = new Map<string, number>()
  /** When the store was last asked for a key, or answered; positive infinity while it has yet to. */
  readonly #askedMs = new Map<string, number>()
  #value: number
  #herdShare = 0
  /** Requests for what a herd wants. */
  herded = 0

  constructor(parts: RequesterParts) {
    this.#parts = parts
    this.#staleShards = new Set(parts.staleShards)
    this.#value = (parts.process * 10 + parts.life + 1) * VALUES
  }

  herd(share: number): void {
    this.#herdShare = share
  }

  /** Told of the keys that the store is asked for. @param answer settles with the store's */
  asked(keys: readonly string[], answer: Promise<unknown>): void {
    for (const key of keys) this.#askedMs.set(key, Number.POSITIVE_INFINITY)
    const over = (): void => {
      const nowMs = this.#parts.nowMs()
      for (const key of keys) this.#askedMs.set(key, nowMs)
    }
    answer.then(over, over)
  }

  readonly send = async (arrival: Arrival): Promise<void> => {
    const { kind, keys } = this.#draw()
    if (keys[0] === HERD_KEY) this.herded++
    const at = this.#due(arrival, kind, keys)
    const took = (): number => this.#parts.nowMs() - arrival.dueMs
    try {
      const result = await this.#do(kind, keys)
      this.log.settle(at, result, took())
    } catch (error) {
      const known = error instanceof RingtailError
      if (this.messages.size < MOST_MESSAGES) this.messages.add(messageOf(error))
      this.log.settle(at, known ? 'refused' : 'broken', took(), known ? error.code : String(error).slice(0, 80))
    }
  }

  readonly unsent = (arrival: Arrival): void => {
    const { kind, keys } = this.#draw()
    this.log.settle(this.#due(arrival, kind, keys), 'unsent', arrival.lagMs)
  }

  async rest(): Promise<void> {
    for (let nth = 0; nth < CHANGING_KEYS; nth++) await this.#do('read', [changingKey(nth)]).catch(() => {})
  }

  close(): void {
    this.#parts.notes.close()
  }

  #due({ dueMs, lagMs }: Arrival, kind: RequestKind, keys: readonly string[]): number {
    return this.log.due(
      dueMs,
      lagMs,
      kind,
      keys.every((key) => key.startsWith('steady')),
      this.#shardOf(keys[0]!),
    )
  }

  #draw(): { readonly kind: RequestKind; readonly keys: readonly string[] } {
    if (this.#herdShare > 0 && this.#parts.random() < this.#herdShare) return { kind: 'read', keys: [HERD_KEY] }
    let draw = this.#parts.random()
    const [kind] = SHARES.find(([, share]) => {
      draw -= share
      return draw < 0
    })!
    if (kind === 'write' || kind === 'delete') return { kind, keys: [changingKey(this.#below(CHANGING_KEYS))] }
    const steady = this.#parts.random() < 0.5
    const one = (): string => (steady ? steadyKey(this.#below(STEADY_KEYS)) : changingKey(this.#below(CHANGING_KEYS)))
    return { kind, keys: kind === 'read' ? [one()] : Array.from({ length: KEYS_OF_MANY }, one) }
  }

  #do(kind: RequestKind, keys: readonly string[]): Promise<RequestResult> {
    if (kind === 'read') return this.#read(keys[0]!)
    if (kind === 'many') return this.#readMany(keys)
    return this.#change(kind, keys[0]!)
  }

  async #read(key: string): Promise<RequestResult> {
    const callMs = this.#parts.nowMs()
    const { value, outcome } = await this.#parts.cache.getWithOutcome(key, key === HERD_KEY ? SPREAD : undefined)
    if (value !== undefined && value.k !== key) return 'wrong'
    this.#saw(key, value, callMs, outcome === 'stale' && this.#staleShards.has(this.#shardOf(key)))
    if (outcome === 'miss') return 'loaded'
    return outcome === 'stale' ? 'stale' : 'hit'
  }

  async #readMany(keys: readonly string[]): Promise<RequestResult> {
    const callMs = this.#parts.nowMs()
    const found = await this.#parts.cache.getMany(keys)
    for (const [key, value] of found) if (value.k !== key) return 'wrong'
    // Which of several were stale is not told: their age has no bound but what grace gives.
    for (const key of new Set(keys)) this.#saw(key, found.get(key), callMs, false)
    return keys.some((key) => (this.#askedMs.get(key) ?? 0) >= callMs) ? 'loaded' : 'hit'
  }

  #saw(key: string, value: Held | undefined, callMs: number, markedStale: boolean): void {
    const read = {
      process: this.#parts.process,
      kind: 'read',
      key,
      boundMs: STALENESS_BOUND_MS,
      callMs,
      returnMs: this.#parts.nowMs(),
      outcome: 'ok',
    } as const
    this.#parts.notes.saw({ ...read, value: value?.v, ...(markedStale && { markedStale }) })
  }

  async #change(kind: 'write' | 'delete', key: string): Promise<RequestResult> {
    const v = ++this.#value
    const callMs = this.#parts.nowMs()
    const change = { process: this.#parts.process, kind, key, ...(kind === 'write' && { value: v }), callMs } as const
    this.#parts.notes.tries(change)
    try {
      await (kind === 'write' ? this.#parts.cache.set(key, { k: key, v, pad: PAD }) : this.#parts.cache.delete(key))
      this.#parts.notes.changed({ ...change, returnMs: this.#parts.nowMs(), outcome: 'ok' })
      return 'done'
    } catch (error) {
      this.#parts.notes.changed({ ...change, returnMs: this.#parts.nowMs(), outcome: 'unknown' })
      throw error
    }
  }

  #shardOf(key: string): number {
    const known = this.#shards.get(key)
    if (known !== undefined) return known
    const shard = Number(this.#parts.store.shardOf?.(key).split('_')[1] ?? 0)
    this.#shards.set(key, shard)
    return shard
  }

  #below(limit: number): number {
    return Math.floor(this.#parts.random() * limit)
  }
}

function messageOf(error: unknown): string {
  const texts: string[] = []
  for (let each = error; each instanceof Error && texts.length < 4; each = each.cause) texts.push(each.message)
  return texts.join(' < ').replace(/'[a-z]+-\d+'/g, "'…'")
}
