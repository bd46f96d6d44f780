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
  const parts = piecesOf(command, args, (text) => text.length)
  if (typeof parts === 'string') return Buffer.byteLength(parts) === parts.length ? parts : encodeExactly(command, args)
  for (const part of parts) if (typeof part === 'string' && Buffer.byteLength(part) !== part.length) return encodeExactly(command, args)
  return joined(parts)
}

function encodeExactly(command: string, args: readonly Argument[]): Buffer {
  const parts = piecesOf(command, args, (text) => Buffer.byteLength(text))
  return typeof parts === 'string' ? Buffer.from(parts) : joined(parts)
}

/** Text where there is only text; else the text between the bytes, and the bytes. */
function piecesOf(command: string, args: readonly Argument[], lengthOf: (text: string) => number): string | Encoded[] {
  let pieces: Encoded[] | undefined
  let text = `*${args.length + 1}${header(lengthOf(command))}${command}`
  for (const arg of args) {
    if (typeof arg === 'object') {
      pieces ??= []
      pieces.push(text + header(arg.length), arg)
      text = ''
    } else {
      const given = typeof arg === 'string' ? arg : String(arg)
      text += header(lengthOf(given)) + given
    }
  }
  text += '\r\n'
  if (pieces === undefined) return text
  pieces.push(text)
  return pieces
}

function joined(pieces: readonly Encoded[]): Buffer {
  let size = 0
  for (const piece of pieces) size += typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const piece of pieces) {
    if (typeof piece === 'string') at += bytes.write(piece, at)
    else {
      bytes.set(piece, at)
      at += piece.length
    }
  }
  return bytes
}

function header(length: number): string {
  return length < READY ? HEADERS[length]! : `\r\n$${length}\r\n`
}
