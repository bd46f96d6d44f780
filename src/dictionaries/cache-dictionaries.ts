/**
 * One cache's dictionaries: trained on its own values, kept on the nodes, known here.
 *
 * Values are sampled as they are written. Once there are enough, whoever has them looks whether somebody has made a dictionary already, makes one
 * if not, and packs by it only when most nodes, and every one that answers, have it: a dictionary that only this process knows would make
 * misses of what it writes. What an entry names and is not known here is fetched once, for all who wait. It is looked at again, by those that
 * write, whether another counts now; whether nodes have lost theirs; and, each time that four times as many values were seen, or they shrink much
 * less than they did, whether one made now would be better.
 */
import type { Clock, Random } from '../clock.ts'
import type { DictionaryCompression } from '../codec/compression.ts'
import type { Dictionaries, Dictionary } from '../codec/dictionary.ts'
import type { Emit } from '../events.ts'
import type { CacheNode } from '../node/node.ts'
import { currentOf, type DictionaryIndex, EMPTY_INDEX, joined, needed, RENEW_MS } from './dictionary-index.ts'
import { DictionaryShelf } from './dictionary-shelf.ts'
import { trainDictionary } from './train-dictionary.ts'
import { ValueSample } from './value-sample.ts'

export interface CacheDictionariesParts {
  readonly cache: string
  /** Changed in place as they come and go. */
  readonly nodes: readonly CacheNode[]
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** How values are packed; undefined where no dictionary is trained, though those of other processes are read. */
  readonly packing: DictionaryCompression | undefined
}

export interface DictionaryCounts {
  /** Ids of those that are known here. */
  readonly known: readonly number[]
  readonly trained: number
  /** Times that one was asked for which could not be had: each a miss, or several at once. */
  readonly notFound: number
}

const SAMPLE_BYTES = 1024 * 1024
/** Trained with so much, or so many: a quarter of a MB of small values, and what a cache of few large ones comes to. */
const ENOUGH_BYTES = 256 * 1024
const ENOUGH_VALUES = 5_000
/** After a training the next waits for so many times as many values. */
const NEXT_AFTER = 4
/** Values shrink much less than they did: to so many times as much. */
const DRIFT = 1.25
/** What that is judged by: bytes of values. */
const JUDGED_BYTES = 512 * 1024
/** At most so many are kept at once: where as many are needed still, no other is made. */
const MOST_LIVE = 4
/** Most that are known here: there may be one or two more of those that were made at once. */
const MOST_KNOWN = 8
/** Looks at the index while no dictionary is used, and while one is, ms. */
const LOOK_MS = 60_000
const LOOK_USING_MS = 600_000
/** What no node had, or nobody could say, is not asked for again for so long, ms. */
const ABSENT_MS = 30_000
const UNANSWERED_MS = 1_000
const MOST_ABSENT = 64
/** The event loop is held for about so long at a time, ms. */
const SLICE_MS = 4

export class CacheDictionaries implements Dictionaries {
  readonly #parts: CacheDictionariesParts
  readonly #shelf: DictionaryShelf
  readonly #sample: ValueSample
  readonly #known = new Map<number, Dictionary>()
  readonly #fetches = new Map<number, Promise<unknown>>()
  /** Until when they are not asked for, ms of `clock.monotonic()`. */
  readonly #absent = new Map<number, number>()
  #index: DictionaryIndex = EMPTY_INDEX
  #nextLookMs: number
  #looking: Promise<void> | undefined
  #training: Promise<void> | undefined
  #isClosed = false
  #trainAfter = 0
  /** What values were packed to when the current dictionary was new, as a part of themselves; undefined: not known yet. */
  #firstRatio: number | undefined
  #judgedIn = 0
  #judgedOut = 0
  #trained = 0
  #notFound = 0
  current: Dictionary | undefined

  constructor(parts: CacheDictionariesParts) {
    this.#parts = parts
    this.#shelf = new DictionaryShelf(parts.cache, parts.nodes)
    this.#sample = new ValueSample(SAMPLE_BYTES, parts.random)
    this.#nextLookMs = parts.clock.monotonic()
    // So that the first values are packed already, where others have trained.
    if (parts.packing !== undefined) this.#look()
  }

  find(id: number): Dictionary | undefined {
    return this.#known.get(id)
  }

  fetch(id: number): Promise<unknown> | undefined {
    const underWay = this.#fetches.get(id)
    if (underWay !== undefined) return underWay
    if (this.#isClosed || (this.#absent.get(id) ?? 0) > this.#parts.clock.monotonic()) return undefined
    const fetching = this.#fetch(id).finally(() => this.#fetches.delete(id))
    this.#fetches.set(id, fetching)
    return fetching
  }

  packed(serialized: Uint8Array, packedBytes: number): void {
    if (this.#parts.packing === undefined || this.#isClosed) return
    this.#sample.offer(serialized)
    this.#judge(serialized.length, packedBytes)
    if (this.#parts.clock.monotonic() >= this.#nextLookMs) this.#look()
    if (this.#isTrainingDue()) this.#train()
  }

  counts(): DictionaryCounts {
    return { known: [...this.#known.keys()], trained: this.#trained, notFound: this.#notFound }
  }

  /** Lets what is under way end, which takes a second at most. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([this.#looking, this.#training, ...this.#fetches.values()])
  }

  async #fetch(id: number): Promise<void> {
    const found = await this.#shelf.fetch(id)
    if (typeof found !== 'string') {
      this.#learn(found)
      // Somebody packs by it.
      this.#nextLookMs = this.#parts.clock.monotonic()
      return
    }
    this.#notFound++
    this.#parts.emit('dictionary:missing', { cache: this.#parts.cache, dictionary: id })
    if (this.#absent.size >= MOST_ABSENT) this.#absent.delete(this.#absent.keys().next().value!)
    this.#absent.set(id, this.#parts.clock.monotonic() + (found === 'absent' ? ABSENT_MS : UNANSWERED_MS))
  }

  #learn(dictionary: Dictionary): void {
    this.#absent.delete(dictionary.id)
    this.#known.set(dictionary.id, dictionary)
    for (const id of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) break
      if (id !== this.current?.id && id !== dictionary.id) this.#known.delete(id)
    }
  }

  #look(): void {
    if (this.#looking !== undefined || this.#isClosed) return
    this.#looking = this.#lookNow().finally(() => {
      this.#nextLookMs = this.#parts.clock.monotonic() + (this.current === undefined ? LOOK_MS : LOOK_USING_MS)
      this.#looking = undefined
    })
  }

  /** Takes up what counts by the nodes, and sees to it that they have what is used here. */
  async #lookNow(): Promise<void> {
    const read = await this.#shelf.index()
    if (read === undefined) return
    const nowMs = this.#parts.clock.now()
    const all = joined(this.#index, read)
    const kept = new Map(needed(all, nowMs))
    const { current } = this
    // One that seemed forgotten is used still.
    if (current !== undefined && !kept.has(current.id)) kept.set(current.id, { ...all.get(current.id)!, usedMs: nowMs })
    this.#index = kept
    await this.#shelf.drop(Array.from(all.keys()).filter((id) => !kept.has(id)))
    if (await this.#adopt()) return
    if (current === undefined) return
    const onNodes = read.get(current.id)
    if (onNodes === undefined || nowMs - onNodes.usedMs >= RENEW_MS) await this.#put(current)
  }

  /** Gives it to all nodes, and says that it is used. @returns whether most have it, and know of it */
  async #put({ id, bytes }: Dictionary): Promise<boolean> {
    const nowMs = this.#parts.clock.now()
    const known = this.#index.get(id)!
    this.#index = joined(this.#index, new Map([[id, { ...known, usedMs: Math.max(known.usedMs, nowMs) }]]))
    const have = await this.#shelf.put({ id, bytes }, this.#index, nowMs)
    return have > this.#parts.nodes.length / 2
  }

  /** Packs from now on by what counts, if it can be had and most nodes have it. @returns whether it does so anew */
  async #adopt(): Promise<boolean> {
    const counting = currentOf(this.#index)
    if (counting === undefined || counting.id === this.current?.id) return false
    if (!this.#known.has(counting.id)) await this.fetch(counting.id)
    const dictionary = this.#known.get(counting.id)
    if (dictionary === undefined || !(await this.#put(dictionary)) || this.#isClosed) return false
    this.current = dictionary
    this.#firstRatio = undefined
    this.#judgedIn = 0
    this.#judgedOut = 0
    // One of another process has seen as many values as this one, as far as is known.
    if (this.#training === undefined) this.#trainAfter = Math.max(this.#trainAfter, this.#sample.offered * NEXT_AFTER)
    this.#parts.emit('dictionary:adopted', { cache: this.#parts.cache, dictionary: dictionary.id, bytes: dictionary.bytes.length })
    return true
  }

  /** Values that shrink much less than they did are of another kind: the sample begins anew, and with it the next training. */
  #judge(bytesIn: number, bytesOut: number): void {
    if (this.current === undefined) return
    this.#judgedIn += bytesIn
    this.#judgedOut += bytesOut
    if (this.#judgedIn < JUDGED_BYTES) return
    const ratio = this.#judgedOut / this.#judgedIn
    this.#judgedIn = 0
    this.#judgedOut = 0
    this.#firstRatio ??= ratio
    if (ratio < this.#firstRatio * DRIFT) return
    this.#firstRatio = ratio
    this.#sample.clear()
    this.#trainAfter = 0
  }

  #isTrainingDue(): boolean {
    if (this.#training !== undefined || this.#looking !== undefined || this.#sample.offered < this.#trainAfter) return false
    return this.#sample.bytes >= ENOUGH_BYTES || this.#sample.offered >= ENOUGH_VALUES
  }

  #train(): void {
    this.#trainAfter = this.#sample.offered * NEXT_AFTER
    this.#training = this.#trainNow().finally(() => {
      this.#training = undefined
    })
  }

  async #trainNow(): Promise<void> {
    const before = this.current
    await this.#lookNow()
    // Somebody else has: it was trained on values like these.
    if (this.current !== before || this.#index.size >= MOST_LIVE) return
    const { packing, clock } = this.#parts
    const made = await this.#sliced(trainDictionary({ sample: this.#sample.values(), current: before, packing: packing! }))
    if (made === undefined || this.#isClosed) return
    this.#trained++
    const generation = (before === undefined ? 0 : this.#index.get(before.id)!.generation) + 1
    const nowMs = clock.now()
    this.#learn(made)
    this.#index = joined(this.#index, new Map([[made.id, { id: made.id, generation, madeMs: nowMs, usedMs: nowMs }]]))
    // Once to find out what others have made meanwhile, and once more for what they made while the nodes were told.
    await this.#lookNow()
    await this.#lookNow()
  }

  /** @returns undefined when it was closed meanwhile */
  async #sliced<T>(steps: Generator<void, T>): Promise<T | undefined> {
    const { clock } = this.#parts
    while (!this.#isClosed) {
      const untilMs = clock.monotonic() + SLICE_MS
      do {
        const step = steps.next()
        if (step.done === true) return step.value
      } while (clock.monotonic() < untilMs)
      await new Promise<void>((resolve) => clock.soon(resolve))
    }
    return undefined
  }
}
