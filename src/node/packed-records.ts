/**
 * Keys and bytes of many small entries, packed into pages.
 *
 * A Buffer of its own and an object to hold it cost an entry a thousand bytes beyond what is in it: more than the entries of most caches have. So
 * keys and bytes lie one behind the other in pages. What was removed leaves a gap; when more than a tenth of the pages is gaps, the records that
 * are left in the emptiest one are copied to the page being filled, and it is given up. So memory follows what is held, whatever the sizes were
 * before. A record is 8 bytes (its number; the lengths of key and bytes), the key, the bytes, and what is left of a multiple of 8. What is larger
 * than an eighth of the largest page has a Buffer of its own, whose price it can bear.
 */
import { grown, grownLength } from '../eviction/grown.ts'

const UNIT = 8
const PAGE_BITS = 15
const UNITS_A_PAGE = 2 ** PAGE_BITS
const PAGE_BYTES = UNITS_A_PAGE * UNIT
const SMALLEST_PAGE_BYTES = 2 ** 13
/** A page is about this part of all, within those sizes, so that the one being filled is little of it. */
const PAGE_SHARE = 1 / 32
const LARGEST_RECORD = PAGE_BYTES / 8
/** Positions are page and unit in 32 bits, and the last two are not places: 32 GiB. */
const MOST_PAGES = 2 ** 32 / UNITS_A_PAGE - 1
const NOWHERE = 0xffff_ffff
const ALONE = 0xffff_fffe
/** Of the second word of a record: the bytes' length; above it the key's. */
const LENGTH_BITS = 16
const LENGTH_MASK = 2 ** LENGTH_BITS - 1
const MOST_GAPS = 1 / 10
/** What records are to be counted for gaps: those that are allowed, and the page being filled. */
const GAPS = 1 / 8
/** What a Buffer, its memory's own books and an object cost; measured. */
const ALONE_BYTES = 1_024
/** Fuller pages are left as they are: the last record of a page may leave as much of it free. */
const FULL = 7 / 8

interface Page {
  readonly bytes: Buffer
  readonly words: Uint32Array
  usedBytes: number
  liveBytes: number
}

interface AloneRecord {
  readonly key: string
  bytes: Buffer
}

export class PackedRecords {
  /** By number. */
  #positions = new Uint32Array(0)
  readonly #pages: (Page | undefined)[] = []
  readonly #freePlaces: number[] = []
  readonly #alone = new Map<number, AloneRecord>()
  #filled = -1
  #pageBytes = 0
  #liveBytes = 0

  /** What pages and tables take in memory; not what lies alone. */
  get tableBytes(): number {
    return this.#pageBytes + this.#positions.byteLength
  }

  has(record: number): boolean {
    return record < this.#positions.length && this.#positions[record] !== NOWHERE
  }

  /** Stores copies under a number that holds nothing. */
  put(record: number, key: string, bytes: Uint8Array): void {
    this.#reserve(record + 1)
    const keyBytes = Buffer.byteLength(key)
    const needed = recordBytes(keyBytes, bytes.length)
    const page = needed <= LARGEST_RECORD ? this.#pageFor(needed) : undefined
    if (page === undefined) {
      this.#positions[record] = ALONE
      this.#alone.set(record, { key, bytes: ownCopy(bytes) })
      return
    }
    const at = page.usedBytes
    page.words[at >>> 2] = record
    page.words[(at >>> 2) + 1] = keyBytes * 2 ** LENGTH_BITS + bytes.length
    page.bytes.write(key, at + UNIT)
    page.bytes.set(bytes, at + UNIT + keyBytes)
    this.#took(page, record, needed)
  }

  remove(record: number): void {
    const position = this.#positions[record]!
    this.#positions[record] = NOWHERE
    if (position === ALONE) {
      this.#alone.delete(record)
      return
    }
    const place = pageOf(position)
    const page = this.#pages[place]!
    const freed = recordBytesAt(page, unitOf(position))
    page.liveBytes -= freed
    this.#liveBytes -= freed
    if (page.liveBytes === 0 && place !== this.#filled) this.#giveUp(place)
    this.#compact()
  }

  /** Puts bytes of the same length in the place of those there. */
  rewrite(record: number, bytes: Uint8Array): void {
    const position = this.#positions[record]!
    if (position === ALONE) {
      this.#alone.get(record)!.bytes = ownCopy(bytes)
      return
    }
    const page = this.#pages[pageOf(position)]!
    const unit = unitOf(position)
    page.bytes.set(bytes, unit * UNIT + UNIT + keyLengthAt(page, unit))
  }

  /** A copy, which stays as it is. */
  bytesOf(record: number): Uint8Array {
    const position = this.#positions[record]!
    if (position === ALONE) return this.#alone.get(record)!.bytes
    const page = this.#pages[pageOf(position)]!
    const unit = unitOf(position)
    const length = bytesLengthAt(page, unit)
    const from = unit * UNIT + UNIT + keyLengthAt(page, unit)
    const copy = Buffer.allocUnsafe(length)
    page.bytes.copy(copy, 0, from, from + length)
    return copy
  }

  lengthOf(record: number): number {
    const position = this.#positions[record]!
    return position === ALONE ? this.#alone.get(record)!.bytes.length : bytesLengthAt(this.#pages[pageOf(position)]!, unitOf(position))
  }

  keyLengthOf(record: number): number {
    const position = this.#positions[record]!
    return position === ALONE
      ? Buffer.byteLength(this.#alone.get(record)!.key)
      : keyLengthAt(this.#pages[pageOf(position)]!, unitOf(position))
  }

  keyOf(record: number): string {
    const position = this.#positions[record]!
    if (position === ALONE) return this.#alone.get(record)!.key
    const page = this.#pages[pageOf(position)]!
    const from = unitOf(position) * UNIT + UNIT
    return page.bytes.toString('utf8', from, from + keyLengthAt(page, unitOf(position)))
  }

  hasKey(record: number, key: string): boolean {
    const position = this.#positions[record]!
    if (position === ALONE) return this.#alone.get(record)!.key === key
    const page = this.#pages[pageOf(position)]!
    const { bytes } = page
    const from = unitOf(position) * UNIT + UNIT
    const length = keyLengthAt(page, unitOf(position))
    for (let at = 0; at < key.length; at++) {
      const code = key.charCodeAt(at)
      if (code > 0x7f) return bytes.toString('utf8', from, from + length) === key.toWellFormed()
      if (at === length || bytes[from + at] !== code) return false
    }
    return length === key.length
  }

  #reserve(records: number): void {
    const former = this.#positions.length
    const length = grownLength(former, records)
    if (length === former) return
    this.#positions = grown(this.#positions, length)
    this.#positions.fill(NOWHERE, former)
  }

  #took(page: Page, record: number, bytes: number): void {
    this.#positions[record] = this.#filled * UNITS_A_PAGE + page.usedBytes / UNIT
    page.usedBytes += bytes
    page.liveBytes += bytes
    this.#liveBytes += bytes
  }

  /** The page being filled, with room for as much; undefined: there can be no more pages. */
  #pageFor(bytes: number): Page | undefined {
    const filled = this.#pages[this.#filled]
    if (filled !== undefined && filled.usedBytes + bytes <= filled.bytes.length) return filled
    if (filled !== undefined && filled.liveBytes === 0) {
      filled.usedBytes = 0
      if (bytes <= filled.bytes.length) return filled
    }
    if (!this.#open(bytes)) return undefined
    this.#compact()
    return this.#pageWith(bytes)
  }

  /** What is copied is gone from where it was, so gaps grow fewer with each round; what is free of the page being filled is no gap yet. */
  #compact(): void {
    const filled = this.#pages[this.#filled]!.bytes.length
    while (this.#pageBytes - this.#liveBytes > this.#pageBytes * MOST_GAPS + filled && this.#closeEmptiest());
  }

  #pageWith(bytes: number): Page | undefined {
    const filled = this.#pages[this.#filled]!
    return filled.usedBytes + bytes <= filled.bytes.length || this.#open(bytes) ? this.#pages[this.#filled] : undefined
  }

  #open(bytes: number): boolean {
    const place = this.#freePlaces.pop() ?? this.#pages.length
    if (place >= MOST_PAGES) return false
    const wanted = Math.max(SMALLEST_PAGE_BYTES, this.#pageBytes * PAGE_SHARE, bytes * 8)
    const length = Math.min(PAGE_BYTES, 2 ** Math.ceil(Math.log2(wanted)))
    const buffer = Buffer.allocUnsafeSlow(length)
    const words = new Uint32Array(buffer.buffer, buffer.byteOffset, length / 4)
    const former = this.#filled
    this.#pages[place] = { bytes: buffer, words, usedBytes: 0, liveBytes: 0 }
    this.#pageBytes += length
    this.#filled = place
    if (this.#pages[former]?.liveBytes === 0) this.#giveUp(former)
    return true
  }

  /** @returns whether a page was given up */
  #closeEmptiest(): boolean {
    let emptiest = -1
    let least = FULL
    for (let place = 0; place < this.#pages.length; place++) {
      const page = this.#pages[place]
      if (page === undefined || place === this.#filled) continue
      const share = page.liveBytes / page.bytes.length
      if (share < least) [emptiest, least] = [place, share]
    }
    return emptiest !== -1 && this.#close(emptiest)
  }

  #close(place: number): boolean {
    const page = this.#pages[place]!
    for (let at = 0; at < page.usedBytes; ) {
      const unit = at / UNIT
      const length = recordBytesAt(page, unit)
      const record = page.words[at >>> 2]!
      if (this.#positions[record] === place * UNITS_A_PAGE + unit) {
        const target = this.#pageWith(length)
        if (target === undefined) return false
        page.bytes.copy(target.bytes, target.usedBytes, at, at + length)
        page.liveBytes -= length
        this.#liveBytes -= length
        this.#took(target, record, length)
      }
      at += length
    }
    this.#giveUp(place)
    return true
  }

  #giveUp(place: number): void {
    const page = this.#pages[place]
    if (page === undefined) return
    this.#pageBytes -= page.bytes.length
    this.#pages[place] = undefined
    this.#freePlaces.push(place)
  }
}

/** What a record of these lengths costs, gaps included. */
export function storedBytes(keyLength: number, bytesLength: number): number {
  const bytes = recordBytes(keyLength, bytesLength)
  return bytes <= LARGEST_RECORD ? bytes + Math.ceil(bytes * GAPS) : bytes + ALONE_BYTES
}

/** What a record of these lengths takes of a page. */
function recordBytes(keyLength: number, bytesLength: number): number {
  return (UNIT + keyLength + bytesLength + UNIT - 1) & ~(UNIT - 1)
}

function pageOf(position: number): number {
  return position >>> PAGE_BITS
}

function unitOf(position: number): number {
  return position & (UNITS_A_PAGE - 1)
}

function recordBytesAt(page: Page, unit: number): number {
  return recordBytes(keyLengthAt(page, unit), bytesLengthAt(page, unit))
}

function keyLengthAt({ words }: Page, unit: number): number {
  return words[unit * 2 + 1]! >>> LENGTH_BITS
}

function bytesLengthAt({ words }: Page, unit: number): number {
  return words[unit * 2 + 1]! & LENGTH_MASK
}

function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
