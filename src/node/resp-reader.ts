/**
 * Reads what a Redis server replies: the serialization protocols RESP2 and RESP3 (Redis documentation, "Redis serialization protocol").
 *
 * Bytes come in chunks that end anywhere; replies leave whole and in order. The one that matters is the array of bulk strings, the answer
 * to an MGET: it is read in one loop whose values are views of the chunk, one allocation each. A value that a chunk's end cuts is put
 * together once, when all of it is there, so that no slicing costs more than a copy. A protocol's finer shapes are told as RESP2 would
 * have told them: maps and sets as arrays, booleans as 1 and 0, doubles and simple strings as bytes. Pushes and attributes are skipped.
 *
 * The promise: the same replies for every slicing; anything malformed, and anything past a limit below, throws `ProtocolError` without
 * having taken memory for what was only announced. After that the reader is of no more use: where the next reply begins is unknown.
 */

export type Reply = Buffer | number | string | null | ReplyError | Reply[]

/** What the server replied is an error. Its name is the one that Redis clients have always given it. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError'
}

/** The bytes are not the protocol's. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** Of one string: what Redis itself allows (`proto-max-bulk-len`). */
const MAX_STRING_BYTES = 512 * 1024 * 1024
/** Of one reply, all its strings and their headers together. */
const MAX_REPLY_BYTES = 2 * MAX_STRING_BYTES
/** Of what ends with a line break rather than has its length in front: numbers, states, errors. */
const MAX_LINE_BYTES = 64 * 1024
/** Of one array, set or map (which counts keys and values). */
const MAX_ITEMS = 2 ** 24
/** Arrays in arrays; Lua gives up earlier. */
const MAX_DEPTH = 1_024
/** An array up to this long is made in one piece; a longer one grows with what really comes. */
const MAX_PREALLOCATED = 1_024

const CR = 13
const LF = 10
const MINUS = 45
const ZERO = 48
const STRING = 36
const NUMBER = 58
/** `#length` found no line end. */
const CUT = -2

/** What `Buffer#subarray` makes, made directly: half the time for the same object. */
const View = (Buffer as unknown as { readonly [Symbol.species]: new (bytes: ArrayBufferLike, offset: number, length: number) => Buffer })[
  Symbol.species
]

/** An array of which some items are yet to come. */
interface Frame {
  readonly items: Reply[]
  readonly count: number
  filled: number
  /** A push or an attribute. */
  readonly skipped: boolean
}

export class RespReader {
  readonly #onReply: (reply: Reply) => void
  readonly #frames: Frame[] = []
  /** What a chunk's end cut: the pieces so far, and how many bytes a string's body needs in all (0: a line, which needs its end). */
  #cut: Buffer[] = []
  #cutBytes = 0
  #wantedBytes = 0
  #wantedType = 0
  #replyBytes = 0
  /** Where `#length` stopped. */
  #next = 0

  /** @param onReply is called from within `write`, once a reply; it must not throw */
  constructor(onReply: (reply: Reply) => void) {
    this.#onReply = onReply
  }

  /** @param chunk kept as long as a string of it is @throws ProtocolError */
  write(chunk: Buffer): void {
    this.#replyBytes += chunk.length
    let at = 0
    if (this.#cutBytes > 0 && this.#wantedBytes === 0) at = this.#continueLine(chunk)
    // The line may have been what announces a string.
    if (this.#wantedBytes > 0) at = this.#continueString(chunk, at)
    while (at < chunk.length) at = this.#read(chunk, at)
    if (this.#replyBytes > MAX_REPLY_BYTES) throw malformed(`a reply of at most ${MAX_REPLY_BYTES} bytes`, this.#replyBytes)
  }

  /** Reads one element or, within an array, as many strings or digits as there are. @returns where the next begins, the chunk's end if this one was cut */
  #read(chunk: Buffer, at: number): number {
    const frame = this.#frames[this.#frames.length - 1]
    if (frame === undefined) return this.#element(chunk, at)
    const next = chunk[at] === STRING ? this.#strings(chunk, at, frame) : this.#digits(chunk, at, frame)
    if (frame.filled === frame.count) this.#closeFrame()
    return next === at ? this.#element(chunk, at) : next
  }

  /** The hot loop. */
  #strings(chunk: Buffer, from: number, frame: Frame): number {
    const { buffer, byteOffset, length } = chunk
    const { items, count } = frame
    let { filled } = frame
    let at = from
    while (filled < count && at < length && chunk[at] === STRING) {
      const size = this.#length(chunk, at + 1, MAX_STRING_BYTES)
      if (size === CUT) break
      const start = this.#next
      if (size === -1) {
        items[filled++] = null
        at = start
        continue
      }
      const end = start + size
      if (end + 2 > length) break
      if (chunk[end] !== CR || chunk[end + 1] !== LF) throw malformed('a line end after a string', chunk[end])
      items[filled++] = new View(buffer, byteOffset + start, size)
      at = end + 2
    }
    frame.filled = filled
    return at
  }

  /** Numbers of one digit, as most verdicts of a script are. */
  #digits(chunk: Buffer, from: number, frame: Frame): number {
    const { items, count } = frame
    let { filled } = frame
    let at = from
    while (filled < count && at + 3 < chunk.length && chunk[at] === NUMBER) {
      const digit = chunk[at + 1]! - ZERO
      if (digit < 0 || digit > 9 || chunk[at + 2] !== CR || chunk[at + 3] !== LF) break
      items[filled++] = digit
      at += 4
    }
    frame.filled = filled
    return at
  }

  #element(chunk: Buffer, at: number): number {
    switch (String.fromCharCode(chunk[at]!)) {
      case '$':
      case '!':
      case '=':
        return this.#string(chunk, at)
      case '*':
      case '~':
        return this.#array(chunk, at, 1, false)
      case '%':
        return this.#array(chunk, at, 2, false)
      case '>':
        return this.#array(chunk, at, 1, true)
      case '|':
        return this.#array(chunk, at, 2, true)
      case '+':
      case '-':
      case ':':
      case ',':
      case '(':
      case '#':
      case '_':
        return this.#line(chunk, at)
      default:
        throw malformed("the first byte of a reply's type", chunk[at])
    }
  }

  #array(chunk: Buffer, at: number, itemsEach: 1 | 2, skipped: boolean): number {
    const announced = this.#length(chunk, at + 1, MAX_ITEMS / itemsEach)
    if (announced === CUT) return this.#cutLine(chunk, at)
    const count = announced * itemsEach
    const next = this.#next
    if (count <= 0) {
      if (!skipped) this.#deliver(count < 0 ? null : [])
      return next
    }
    if (this.#frames.length >= MAX_DEPTH) throw malformed(`at most ${MAX_DEPTH} arrays in one another`, MAX_DEPTH + 1)
    this.#frames.push({ items: count <= MAX_PREALLOCATED ? new Array(count) : [], count, filled: 0, skipped })
    return next
  }

  #string(chunk: Buffer, at: number): number {
    const size = this.#length(chunk, at + 1, MAX_STRING_BYTES)
    if (size === CUT) return this.#cutLine(chunk, at)
    const start = this.#next
    if (size === -1) {
      this.#deliver(null)
      return start
    }
    const wanted = size + 2
    if (start + wanted <= chunk.length) {
      this.#deliver(stringOf(chunk[at]!, chunk.subarray(start, start + wanted)))
      return start + wanted
    }
    this.#wantedBytes = wanted
    this.#wantedType = chunk[at]!
    this.#keep(chunk, start)
    return chunk.length
  }

  #line(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(LF, at)
    if (end < 0) return this.#cutLine(chunk, at)
    if (end - at > MAX_LINE_BYTES) throw malformed(`a line of at most ${MAX_LINE_BYTES} bytes`, end - at)
    if (chunk[end - 1] !== CR) throw malformed('CR before LF', chunk[end - 1])
    this.#deliver(lineOf(chunk, at, end - 1))
    return end + 1
  }

  /** @returns the number at `at`, -1 for null, CUT when the chunk ends before its line does; leaves the line's end in `#next` */
  #length(chunk: Buffer, at: number, most: number): number {
    const { length } = chunk
    let i = at
    let value = 0
    if (i < length && chunk[i] === MINUS) {
      i++
      if (i < length && chunk[i] !== ZERO + 1) throw malformed('a length', chunk[i])
      i++
      value = -1
    } else {
      for (; i < length; i++) {
        const digit = chunk[i]! - ZERO
        if (digit < 0 || digit > 9) break
        value = value * 10 + digit
        if (value > most) throw malformed(`a length of at most ${most}`, value)
      }
    }
    if (i >= length) return CUT
    if (chunk[i] !== CR || i === at) throw malformed('a length', chunk[i])
    if (i + 1 >= length) return CUT
    if (chunk[i + 1] !== LF) throw malformed('LF after CR', chunk[i + 1])
    this.#next = i + 2
    return value
  }

  #cutLine(chunk: Buffer, at: number): number {
    this.#keep(chunk, at)
    if (this.#cutBytes > MAX_LINE_BYTES) throw malformed(`a line of at most ${MAX_LINE_BYTES} bytes`, this.#cutBytes)
    return chunk.length
  }

  #keep(chunk: Buffer, from: number): void {
    if (from === chunk.length) return
    this.#cut.push(from === 0 ? chunk : chunk.subarray(from))
    this.#cutBytes += chunk.length - from
  }

  /** The pieces kept and what of the chunk belongs to them, as one. */
  #join(chunk: Buffer, from: number, to: number): Buffer {
    this.#cut.push(chunk.subarray(from, to))
    const joined = Buffer.concat(this.#cut, this.#cutBytes + to - from)
    this.#cut = []
    this.#cutBytes = 0
    return joined
  }

  #continueString(chunk: Buffer, from: number): number {
    const end = from + this.#wantedBytes - this.#cutBytes
    if (chunk.length < end) {
      this.#keep(chunk, from)
      return chunk.length
    }
    const joined = this.#join(chunk, from, end)
    this.#wantedBytes = 0
    this.#deliver(stringOf(this.#wantedType, joined))
    return end
  }

  #continueLine(chunk: Buffer): number {
    const end = chunk.indexOf(LF)
    if (end < 0) return this.#cutLine(chunk, 0)
    const joined = this.#join(chunk, 0, end + 1)
    // A whole line by itself: whatever it is, nothing of it is left over, and a string's body begins after it.
    this.#element(joined, 0)
    return end + 1
  }

  #deliver(element: Reply): void {
    const frame = this.#frames[this.#frames.length - 1]
    if (frame === undefined) {
      this.#replyBytes = 0
      this.#onReply(element)
      return
    }
    frame.items[frame.filled++] = element
    if (frame.filled === frame.count) this.#closeFrame()
  }

  /** The last item of an array may be the last one of the array around it, and so on. */
  #closeFrame(): void {
    for (;;) {
      const { items, skipped } = this.#frames.pop()!
      const outer = this.#frames[this.#frames.length - 1]
      if (outer === undefined) {
        this.#replyBytes = 0
        if (!skipped) this.#onReply(items)
        return
      }
      if (skipped) return
      outer.items[outer.filled++] = items
      if (outer.filled < outer.count) return
    }
  }
}

/** @param body with the line end that follows it */
function stringOf(type: number, body: Buffer): Reply {
  const size = body.length - 2
  if (body[size] !== CR || body[size + 1] !== LF) throw malformed('a line end after a string', body[size])
  if (type === STRING) return body.subarray(0, size)
  if (type === 0x21) return new ReplyError(body.toString('utf8', 0, size))
  // Verbatim: three letters of format and a colon come first.
  if (size < 4 || body[3] !== 0x3a) throw malformed('a format before a verbatim string', body[3])
  return body.subarray(4, size)
}

const INTEGER = /^[+-]?\d{1,19}$/
const BIG_NUMBER = /^[+-]?\d+$/
const DOUBLE = /^[+-]?(\d+(\.\d*)?(e[+-]?\d+)?|inf|nan)$/i

function lineOf(chunk: Buffer, at: number, end: number): Reply {
  const type = String.fromCharCode(chunk[at]!)
  if (type === '+') return chunk.subarray(at + 1, end)
  const text = chunk.toString('utf8', at + 1, end)
  if (type === '-') return new ReplyError(text)
  if (type === ':' && INTEGER.test(text)) return Number(text)
  if (type === ',' && DOUBLE.test(text)) return chunk.subarray(at + 1, end)
  if (type === '(' && BIG_NUMBER.test(text)) return text
  if (type === '#' && (text === 't' || text === 'f')) return text === 't' ? 1 : 0
  if (type === '_' && text === '') return null
  throw malformed(`what follows '${type}'`, text)
}

/** The bytes may be anything: at most a few of them are shown. */
function malformed(needed: string, got: string | number | undefined): ProtocolError {
  return new ProtocolError(`reply: needs ${needed}, but got: ${JSON.stringify(got)?.slice(0, 40)}`)
}
