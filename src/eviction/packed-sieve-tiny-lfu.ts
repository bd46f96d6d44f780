/**
 * `SieveTinyLfu` of entries that are numbers: the same rules in the same order, for who holds many small entries and cannot afford an object
 * each. What is known of an entry lies in tables, 14 bytes of them; a test holds the two against each other, call by call.
 */
import { FrequencySketch, MOST_FREQUENT } from './frequency-sketch.ts'
import { grown, grownLength } from './grown.ts'
import { MOST_FORGIVEN, READS_AN_AGE, SHORTEST_AGE, WINDOW_SHARE } from './sieve-tiny-lfu.ts'

/** What the policy is told of entries by who holds them. */
export interface PackedEntries {
  /** Of its key. */
  hashOf(entry: number): number
  sizeOf(entry: number): number
  /** It has to go, and is out of the policy already. */
  evict(entry: number): void
}

/** One counter a row for each entry, not four: here a byte more an entry costs more hits than sharper estimates win (`npm run bench:eviction`). */
const COUNTERS_PER_ENTRY = 1

const NONE = -1
/** Of `marks`: the frequency, then two bits. */
const FREQUENCY = 0x0f
const VISITED = 0x10
const IN_MAIN = 0x20

export class PackedSieveTinyLfu {
  readonly #entries: PackedEntries
  readonly #sketch = new FrequencySketch(COUNTERS_PER_ENTRY)
  readonly #window = new Queue()
  readonly #main = new Queue()
  #older = new Int32Array(0)
  #newer = new Int32Array(0)
  #marks = new Uint8Array(0)
  /** As of when a frequency is, the last 8 bits of it. */
  #epochs = new Uint8Array(0)
  #maxBytes: number
  /** Where the next search in the main part begins; none: at the oldest. */
  #hand = NONE
  #epoch = 0
  #reads = 0
  #age = SHORTEST_AGE

  constructor(maxBytes: number, entries: PackedEntries) {
    this.#maxBytes = maxBytes
    this.#entries = entries
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** The sum of the sizes of the entries held. */
  get sizeBytes(): number {
    return this.#window.sizeBytes + this.#main.sizeBytes
  }

  get length(): number {
    return this.#window.length + this.#main.length
  }

  /** What the policy itself takes in memory. */
  get tableBytes(): number {
    return this.#sketch.sizeBytes + this.#older.byteLength * 2 + this.#marks.byteLength * 2
  }

  /** Makes room for entries of numbers below this. */
  reserve(entries: number): void {
    const length = grownLength(this.#older.length, entries)
    if (length === this.#older.length) return
    this.#older = grown(this.#older, length)
    this.#newer = grown(this.#newer, length)
    this.#marks = grown(this.#marks, length)
    this.#epochs = grown(this.#epochs, length)
  }

  /** Evicts until what is held fits. */
  limit(maxBytes: number): void {
    this.#maxBytes = maxBytes
    this.#fit()
  }

  /** An entry that is held was read. */
  read(entry: number): void {
    if (this.#epochs[entry] !== (this.#epoch & 0xff)) this.#catchUp(entry)
    const marks = this.#marks[entry]! | VISITED
    this.#marks[entry] = (marks & FREQUENCY) < MOST_FREQUENT ? marks + 1 : marks
    if (++this.#reads >= this.#age) this.#growOlder()
  }

  /** Takes a new entry in, and evicts what has to go for it: possibly itself. */
  add(entry: number): void {
    this.#epochs[entry] = this.#epoch
    this.#marks[entry] = Math.min(MOST_FREQUENT, this.#sketch.estimate(this.#entries.hashOf(entry)) + 1)
    this.#append(this.#window, entry)
    this.#sketch.makeFor(this.length)
    this.#age = Math.max(SHORTEST_AGE, this.length * READS_AN_AGE)
    if (++this.#reads >= this.#age) this.#growOlder()
    this.#fit()
  }

  /** Lets an entry go that is no longer wanted; how often it was read is remembered. */
  remove(entry: number): void {
    this.#catchUp(entry)
    this.#sketch.raise(this.#entries.hashOf(entry), this.#frequencyOf(entry))
    if (this.#hand === entry) this.#hand = this.#newer[entry]!
    this.#unlink(this.#queueOf(entry), entry)
  }

  /** An entry that is held has another size from now on. @param formerBytes what `sizeOf` said until now */
  resized(entry: number, formerBytes: number): void {
    this.#queueOf(entry).sizeBytes += this.#entries.sizeOf(entry) - formerBytes
    this.#fit()
  }

  #fit(): void {
    const windowBytes = Math.max(1, Math.floor(this.#maxBytes * WINDOW_SHARE))
    while (this.#window.sizeBytes > windowBytes || this.sizeBytes > this.#maxBytes) this.#makeRoom(windowBytes)
  }

  #makeRoom(windowBytes: number): void {
    const candidate = this.#window.sizeBytes > windowBytes ? this.#nextCandidate() : NONE
    if (candidate !== NONE && this.sizeBytes <= this.#maxBytes) {
      this.#unlink(this.#window, candidate)
      this.#marks[candidate] = this.#marks[candidate]! | IN_MAIN
      this.#append(this.#main, candidate)
      return
    }
    const resident = this.#nextResident()
    if (candidate === NONE) this.#evict(resident)
    else if (resident === NONE) this.#evict(candidate)
    else this.#compete(candidate, resident)
  }

  #compete(candidate: number, resident: number): void {
    this.#catchUp(candidate)
    this.#catchUp(resident)
    const [candidateReads, residentReads] = [this.#frequencyOf(candidate), this.#frequencyOf(resident)]
    if (candidateReads > residentReads) {
      this.#evict(resident)
      return
    }
    if (candidateReads < residentReads) this.#hand = this.#newer[resident]!
    this.#evict(candidate)
  }

  #evict(entry: number): void {
    this.remove(entry)
    this.#entries.evict(entry)
  }

  /** The oldest of the window that was not read since it came or was last looked at. */
  #nextCandidate(): number {
    let forgiven = 0
    let { oldest } = this.#window
    while (oldest !== NONE && this.#isVisited(oldest) && forgiven++ < MOST_FORGIVEN) {
      this.#forgive(oldest)
      this.#unlink(this.#window, oldest)
      this.#append(this.#window, oldest)
      oldest = this.#window.oldest
    }
    return oldest
  }

  #nextResident(): number {
    let forgiven = 0
    let hand = this.#hand === NONE ? this.#main.oldest : this.#hand
    while (hand !== NONE && this.#isVisited(hand) && forgiven++ < MOST_FORGIVEN) {
      this.#forgive(hand)
      hand = this.#newer[hand]!
      if (hand === NONE) hand = this.#main.oldest
    }
    this.#hand = hand
    return hand
  }

  #catchUp(entry: number): void {
    const halvings = Math.min(31, (this.#epoch - this.#epochs[entry]!) & 0xff)
    const marks = this.#marks[entry]!
    this.#marks[entry] = (marks & ~FREQUENCY) | Math.max(1, (marks & FREQUENCY) >> halvings)
    this.#epochs[entry] = this.#epoch
  }

  #growOlder(): void {
    this.#sketch.age()
    this.#epoch++
    this.#reads = 0
  }

  #frequencyOf(entry: number): number {
    return this.#marks[entry]! & FREQUENCY
  }

  #isVisited(entry: number): boolean {
    return (this.#marks[entry]! & VISITED) !== 0
  }

  #forgive(entry: number): void {
    this.#marks[entry] = this.#marks[entry]! & ~VISITED
  }

  #queueOf(entry: number): Queue {
    return (this.#marks[entry]! & IN_MAIN) === 0 ? this.#window : this.#main
  }

  #append(queue: Queue, entry: number): void {
    this.#older[entry] = queue.newest
    this.#newer[entry] = NONE
    if (queue.newest === NONE) queue.oldest = entry
    else this.#newer[queue.newest] = entry
    queue.newest = entry
    queue.sizeBytes += this.#entries.sizeOf(entry)
    queue.length++
  }

  #unlink(queue: Queue, entry: number): void {
    const [older, newer] = [this.#older[entry]!, this.#newer[entry]!]
    if (older === NONE) queue.oldest = newer
    else this.#newer[older] = newer
    if (newer === NONE) queue.newest = older
    else this.#older[newer] = older
    queue.sizeBytes -= this.#entries.sizeOf(entry)
    queue.length--
  }
}

/** Entries in order of arrival, linked through the tables. */
class Queue {
  oldest = NONE
  newest = NONE
  sizeBytes = 0
  length = 0
}
