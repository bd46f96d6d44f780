/**
 * Whether a crash can have left SQLite's write-ahead log as it is, or something has bent it since.
 *
 * SQLite reads the log up to the last commit before the first frame that does not fit, and takes the rest for the tail of a write that a crash
 * tore. A frame that was bent later ends it just so, and what was synced behind it is gone without a word. So the rest is looked at before
 * SQLite sees it: it is either what one unfinished group can leave, or damage.
 *
 * The log is a header (magic, page size, two salts, checksum) and frames (page number, commit mark, the salts, a checksum that goes on from
 * the frame before, the page). What is known of one that a journal writes:
 *
 * 1. One process writes it, a group at a time. A group's frames are written only after the group before was synced; `synchronous = full` syncs
 *    at every commit. So of the frames after the last commit that SQLite finds none is of an older group unless that was bent, and none of a
 *    second newer one: they are what one group in flight has left, in whatever order the disk took its sectors.
 * 2. A frame has the salts of the header for this use of the log alone. A log that was written back into the file is begun anew with other salts,
 *    and its header is synced before the first frame. `JournalFile` begins it anew also before its first group, and after one that failed: so no
 *    frames of an earlier process, or of a group that came to nothing, carry the salts of today's.
 * 3. Within a group the numbers of its pages rise, for SQLite writes the dirty ones in order and none before the commit (`cache_spill = off`), and the
 *    mark is on the last alone. Every group that is written at all has page 2, the journal's counts, and one above it: it begins at or below
 *    page 2, and ends above.
 *
 * Hence a torn tail always rises and has nothing behind its mark, and is never taken for damage. The other way round: where a frame of a synced
 * group is bent, this group's own frames and those of the group that follows lie in the rest, and with any one frame missing there is still
 * a mark with a frame behind it, or page 2 where it should have risen. What is taken for torn is at most the last group; that
 * its frames were synced cannot be seen from them. What is not seen at all is a log that was cut short, for nothing lies behind the cut, and one of
 * which the whole of its last group but one is gone.
 *
 * A frame's header counts where the disk cannot have taken half of it: it lies in one sector, or its checksum goes on from the frame before.
 */
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const SECTOR_BYTES = 512
/** The last bit tells in which order the words of a checksum are read. */
const MAGIC = 0x37_7f_06_82

type Sum = readonly [number, number]

/** @returns why no crash can have left the log so, or nothing */
export function damageOfLog(log: Uint8Array): string | undefined {
  // The header is synced before the first frame is written.
  if (log.length <= HEADER_BYTES) return undefined
  const frames = new Frames(log)
  if (!frames.headerFits) return 'the header of its log is bent'
  const { first, chained } = frames.afterLastCommit()
  let page = 0
  let ended = false
  for (let nth = first; nth < frames.count; nth++) {
    if (!frames.isOfThisUse(nth)) continue
    const number = frames.pageOf(nth)
    if (ended || number <= page)
      return `frame ${chained + 1} of its log does not fit, and frame ${nth + 1} is of a later group, so that it did once`
    page = number
    ended = frames.isCommit(nth)
  }
  return undefined
}

class Frames {
  /** The last one may be cut. */
  readonly count: number
  readonly headerFits: boolean
  readonly #view: DataView
  readonly #little: boolean
  readonly #pageBytes: number
  readonly #begin: Sum

  /** @param log longer than its header */
  constructor(log: Uint8Array) {
    this.#view = new DataView(log.buffer, log.byteOffset, log.byteLength)
    const magic = this.#view.getUint32(0)
    this.#little = magic === MAGIC
    this.#pageBytes = this.#view.getUint32(8)
    this.#begin = this.#sumOf([0, 0], 0, HEADER_BYTES - 8)
    this.headerFits = magic >>> 1 === MAGIC >>> 1 && this.#stored(HEADER_BYTES - 8, this.#begin)
    const frameBytes = FRAME_HEADER_BYTES + this.#pageBytes
    this.count = Math.floor((log.length - HEADER_BYTES + frameBytes - FRAME_HEADER_BYTES) / frameBytes)
  }

  pageOf(nth: number): number {
    return this.#view.getUint32(this.#at(nth))
  }

  isCommit(nth: number): boolean {
    return this.#view.getUint32(this.#at(nth) + 4) !== 0
  }

  /** Frames as SQLite reads them: `chained` of them fit, of which `first` were committed. */
  afterLastCommit(): { readonly first: number; readonly chained: number } {
    let sum = this.#begin
    let first = 0
    for (let nth = 0; ; nth++) {
      if (!this.#isWhole(nth) || !this.#hasSalts(nth)) return { first, chained: nth }
      sum = this.#sumOfFrame(sum, nth)
      if (!this.#stored(this.#at(nth) + 16, sum)) return { first, chained: nth }
      if (this.isCommit(nth)) first = nth + 1
    }
  }

  isOfThisUse(nth: number): boolean {
    if (!this.#hasSalts(nth)) return false
    const at = this.#at(nth)
    if (Math.floor(at / SECTOR_BYTES) === Math.floor((at + FRAME_HEADER_BYTES - 1) / SECTOR_BYTES)) return true
    if (!this.#isWhole(nth)) return false
    const before = nth === 0 ? HEADER_BYTES - 8 : this.#at(nth - 1) + 16
    return this.#stored(at + 16, this.#sumOfFrame([this.#view.getUint32(before), this.#view.getUint32(before + 4)], nth))
  }

  #at(nth: number): number {
    return HEADER_BYTES + nth * (FRAME_HEADER_BYTES + this.#pageBytes)
  }

  #isWhole(nth: number): boolean {
    return this.#at(nth + 1) <= this.#view.byteLength
  }

  #hasSalts(nth: number): boolean {
    const at = this.#at(nth) + 8
    return this.#view.getUint32(at) === this.#view.getUint32(16) && this.#view.getUint32(at + 4) === this.#view.getUint32(20)
  }

  #stored(at: number, [one, other]: Sum): boolean {
    return this.#view.getUint32(at) === one && this.#view.getUint32(at + 4) === other
  }

  #sumOfFrame(before: Sum, nth: number): Sum {
    const at = this.#at(nth)
    return this.#sumOf(this.#sumOf(before, at, 8), at + FRAME_HEADER_BYTES, this.#pageBytes)
  }

  /** SQLite's checksum, https://sqlite.org/fileformat2.html#checksum_algorithm. */
  #sumOf([one, other]: Sum, from: number, bytes: number): Sum {
    for (let at = from; at < from + bytes; at += 8) {
      one = (one + this.#view.getUint32(at, this.#little) + other) >>> 0
      other = (other + this.#view.getUint32(at + 4, this.#little) + one) >>> 0
    }
    return [one, other]
  }
}
