/**
 * Writes commands as a Redis server reads them: an array of strings, each with its length in bytes in front.
 *
 * A command leaves in one piece, so in one write to the socket. Keys are nearly always ASCII (namespaced ones always are), where characters
 * are bytes: the command is then put together as text with the lengths it has as text, and looked over once as a whole, which costs far
 * less than asking each key for its length. Only where that finds another character is it put together again with each length measured.
 *
 * Bytes are copied, once: what was written is what was given, whatever its owner does with it while the socket is still busy.
 */

export type Argument = string | number | Buffer

/** One command: text of one byte a character (write it as 'latin1'), or bytes. */
export type Encoded = string | Buffer

const CR = 13
const LF = 10
const DOLLAR = 36
const ZERO = 48

/** Lengths below this have their header ready. */
const READY = 512
/** What ends the string before and announces the next. */
const HEADERS: readonly string[] = Array.from({ length: READY }, (_, length) => `\r\n$${length}\r\n`)

export function encodeMget(keys: readonly string[]): Encoded {
  let text = `*${keys.length + 1}\r\n$4\r\nMGET`
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    text += header(key.length) + key
  }
  text += '\r\n'
  return Buffer.byteLength(text) === text.length ? text : encodeExactly('MGET', keys)
}

export function encodeCommand(command: string, args: readonly Argument[]): Encoded {
  let text = `*${args.length + 1}${header(command.length)}${command}`
  let at = 0
  for (; at < args.length; at++) {
    const arg = args[at]!
    if (typeof arg === 'object') break
    const given = typeof arg === 'string' ? arg : String(arg)
    text += header(given.length) + given
  }
  if (at === args.length) text += '\r\n'
  if (Buffer.byteLength(text) !== text.length) return encodeExactly(command, args)
  return at === args.length ? text : withRest(text, args, at)
}

/** Text first, of characters of one byte, and then what begins with bytes: no string is made of the numbers and headers between them. */
function withRest(text: string, args: readonly Argument[], from: number): Buffer {
  let size = text.length + 2
  for (let i = from; i < args.length; i++) size += sizeOf(args[i]!)
  const bytes = Buffer.allocUnsafe(size)
  let at = bytes.write(text, 'latin1')
  for (let i = from; i < args.length; i++) at = write(bytes, at, args[i]!)
  bytes[at] = CR
  bytes[at + 1] = LF
  return bytes
}

function encodeExactly(command: string, args: readonly Argument[]): Buffer {
  const start = `*${args.length + 1}`
  let size = start.length + sizeOf(command) + 2
  for (const arg of args) size += sizeOf(arg)
  const bytes = Buffer.allocUnsafe(size)
  let at = write(bytes, bytes.write(start), command)
  for (const arg of args) at = write(bytes, at, arg)
  bytes.write('\r\n', at)
  return bytes
}

/** With its header, and the line end of what comes before. */
function sizeOf(arg: Argument): number {
  const length = lengthOf(arg)
  return 5 + digitsIn(length) + length
}

function lengthOf(arg: Argument): number {
  if (typeof arg === 'object') return arg.length
  if (typeof arg === 'number') return isCount(arg) ? digitsIn(arg) : String(arg).length
  return Buffer.byteLength(arg)
}

/** @returns where the next begins */
function write(bytes: Buffer, from: number, arg: Argument): number {
  const length = lengthOf(arg)
  bytes[from] = CR
  bytes[from + 1] = LF
  bytes[from + 2] = DOLLAR
  const at = writeDigits(bytes, from + 3, length)
  bytes[at] = CR
  bytes[at + 1] = LF
  if (typeof arg === 'object') bytes.set(arg, at + 2)
  else if (typeof arg === 'number' && isCount(arg)) writeDigits(bytes, at + 2, arg)
  else bytes.write(String(arg), at + 2)
  return at + 2 + length
}

/** A whole number that is written as its digits. */
function isCount(number: number): boolean {
  return number >= 0 && number <= Number.MAX_SAFE_INTEGER && Math.floor(number) === number
}

function digitsIn(count: number): number {
  let digits = 1
  for (let power = 10; count >= power; power *= 10) digits++
  return digits
}

/** @returns where they end */
function writeDigits(bytes: Buffer, from: number, count: number): number {
  const end = from + digitsIn(count)
  let rest = count
  for (let at = end - 1; at >= from; at--) {
    const tenth = Math.floor(rest / 10)
    bytes[at] = ZERO + (rest - tenth * 10)
    rest = tenth
  }
  return end
}

function header(length: number): string {
  return length < READY ? HEADERS[length]! : `\r\n$${length}\r\n`
}
