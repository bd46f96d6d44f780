/**
 * Which entries stay, when not all can.
 *
 * What is read once and never again (a report, a crawler, a batch job) must not displace what is read all day, and a read must cost next to
 * nothing. So a read writes a count and a mark into the entry and moves nothing. New entries pass a small window, a tenth of the whole, in
 * which those that were read get a second chance. What leaves the window competes for its place with one entry of the main part, found by SIEVE's
 * hand (Zhang et al., NSDI 2024), which forgives what was read since it last passed; the one read more often stays, the resident in a
 * tie, as in TinyLFU (Einziger, Friedman and Manes, ACM ToS 2017). The frequency of what is gone is kept in a sketch, so that it is known when it comes
 * back. A resident that wins by more than a tie is passed by, so that old fame shields itself and nothing else.
 *
 * Chosen by measurement: `npm run bench:eviction`. Constant time a call, amortised; bounded in bytes by the sizes that entries say they have.
 */
import { FrequencySketch, MOST_FREQUENT } from './frequency-sketch.ts'
import { type Ranked, RankedQueue } from './ranked-queue.ts'

export type { Ranked }

export const WINDOW_SHARE = 0.1
/** Everything is halved after this many reads and arrivals an entry held: before a scan has filled the sketch, which would make its keys look known. */
export const READS_AN_AGE = 3
export const SHORTEST_AGE = 640
/** Marked entries that one search walks over at most, so that no call takes milliseconds. */
export const MOST_FORGIVEN = 1_000

export class SieveTinyLfu<E extends Ranked<E>> {
  readonly maxBytes: number
  readonly #windowBytes: number
  readonly #evicted: (entry: E) => void
  #window = new RankedQueue<E>()
  #main = new RankedQueue<E>()
  readonly #sketch = new FrequencySketch()
  /** Where the next search in the main part begins; undefined: at the oldest. */
  #hand: E | undefined
  #epoch = 0
  #reads = 0
  #age = SHORTEST_AGE

  /** @param maxBytes in whatever unit the sizes are @param evicted told of each entry that has to go, once it is out */
  constructor(maxBytes: number, evicted: (entry: E) => void) {
    this.maxBytes = maxBytes
    this.#windowBytes = Math.max(1, Math.floor(maxBytes * WINDOW_SHARE))
    this.#evicted = evicted
  }

  /** The sum of the sizes of the entries held. */
  get sizeBytes(): number {
    return this.#window.sizeBytes + this.#main.sizeBytes
  }

  get length(): number {
    return this.#window.length + this.#main.length
  }

  /** What the policy itself takes in memory beside the entries. */
  get sketchBytes(): number {
    return this.#sketch.sizeBytes
  }

  /** An entry that is held was read. */
  read(entry: E): void {
    entry.visited = true
    if (entry.epoch !== this.#epoch) this.#catchUp(entry)
    if (entry.frequency < MOST_FREQUENT) entry.frequency++
    if (++this.#reads >= this.#age) this.#growOlder()
  }

  /** Takes a new entry in, and evicts what has to go for it: possibly itself. */
  add(entry: E): void {
    entry.epoch = this.#epoch
    entry.frequency = Math.min(MOST_FREQUENT, this.#sketch.estimate(entry.hash) + 1)
    entry.visited = false
    entry.inMain = false
    this.#window.append(entry)
    this.#sketch.makeFor(this.length)
    this.#age = Math.max(SHORTEST_AGE, this.length * READS_AN_AGE)
    if (++this.#reads >= this.#age) this.#growOlder()
    while (this.#window.sizeBytes > this.#windowBytes || this.sizeBytes > this.maxBytes) this.#makeRoom()
  }

  /** Lets an entry go that is no longer wanted; how often it was read is remembered. */
  remove(entry: E): void {
    if (entry.epoch !== this.#epoch) this.#catchUp(entry)
    this.#sketch.raise(entry.hash, entry.frequency)
    if (this.#hand === entry) this.#hand = entry.newer
    if (entry.inMain) this.#main.remove(entry)
    else this.#window.remove(entry)
  }

  /** Lets all go, without telling `evicted`. */
  clear(): void {
    this.#window = new RankedQueue<E>()
    this.#main = new RankedQueue<E>()
    this.#hand = undefined
  }

  #makeRoom(): void {
    const candidate = this.#window.sizeBytes > this.#windowBytes ? this.#nextCandidate() : undefined
    if (candidate !== undefined && this.sizeBytes <= this.maxBytes) {
      this.#window.remove(candidate)
      candidate.inMain = true
      this.#main.append(candidate)
      return
    }
    const resident = this.#nextResident()
    if (candidate === undefined) this.#evict(resident!)
    else if (resident === undefined) this.#evict(candidate)
    else this.#compete(candidate, resident)
  }

  #compete(candidate: E, resident: E): void {
    this.#catchUp(candidate)
    this.#catchUp(resident)
    if (candidate.frequency > resident.frequency) {
      this.#evict(resident)
      return
    }
    if (candidate.frequency < resident.frequency) this.#hand = resident.newer
    this.#evict(candidate)
  }

  #evict(entry: E): void {
    this.remove(entry)
    this.#evicted(entry)
  }

  /** The oldest of the window that was not read since it came or was last looked at. */
  #nextCandidate(): E | undefined {
    let forgiven = 0
    let oldest = this.#window.oldest
    while (oldest?.visited === true && forgiven++ < MOST_FORGIVEN) {
      oldest.visited = false
      this.#window.remove(oldest)
      this.#window.append(oldest)
      oldest = this.#window.oldest
    }
    return oldest
  }

  #nextResident(): E | undefined {
    let forgiven = 0
    let hand = this.#hand ?? this.#main.oldest
    while (hand?.visited === true && forgiven++ < MOST_FORGIVEN) {
      hand.visited = false
      hand = hand.newer ?? this.#main.oldest
    }
    this.#hand = hand
    return hand
  }

  /**
   * Halves an entry's frequency as often as everything was since it was last looked at; not below that of a newcomer, for otherwise the second
   * half of a long scan would displace what its first half could not.
   */
  #catchUp(entry: E): void {
    entry.frequency = Math.max(1, entry.frequency >> Math.min(31, this.#epoch - entry.epoch))
    entry.epoch = this.#epoch
  }

  #growOlder(): void {
    this.#sketch.age()
    this.#epoch++
    this.#reads = 0
  }
}
