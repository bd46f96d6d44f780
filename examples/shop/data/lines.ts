/**
 * The lines of a text file, gzip'd or plain, in batches.
 *
 * Whether a file is gzip'd is told by its first two bytes, not by its name. Memory stays bounded however large the file: one chunk and its
 * lines at a time, and no line above 1 MiB. What cannot be read at all is a `UsageError`: the user named the wrong file.
 */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { UsageError } from '../usage-error.ts'

export interface LineBatch {
  /** The number of the first line of the batch; lines count from 1. */
  readonly first: number
  readonly lines: readonly string[]
}

/** How far reading is: a fraction from 0 to 1 of the file's bytes as they lie on the disk. */
export type OnProgress = (fraction: number) => void

const MAX_LINE_CHARACTERS = 1024 * 1024
const CHUNK_BYTES = 256 * 1024

/** @param what the option that named the file, for messages @throws UsageError when the file cannot be read as text lines */
export async function* readLines(file: string, what: string, onProgress: OnProgress = () => {}): AsyncGenerator<LineBatch> {
  const { gzip, size } = await inspect(file, what)
  const source = createReadStream(file, { highWaterMark: CHUNK_BYTES })
  const bytes = gzip ? pipeline(source, createGunzip({ chunkSize: CHUNK_BYTES }), () => {}) : source
  const decoder = new TextDecoder('utf-8')
  let first = 1
  let rest = ''
  try {
    for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > MAX_LINE_CHARACTERS)
        throw UsageError.of(`${what} ${file}`, 'lines of at most 1 MiB', `a longer one at line ${first + lines.length}`)
      if (lines.length > 0) yield { first, lines: lines.map(withoutReturn) }
      first += lines.length
      onProgress(size === 0 ? 1 : source.bytesRead / size)
    }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw UsageError.of(
      `${what} ${file}`,
      gzip ? 'a whole gzip file' : 'a readable file',
      `${(error as Error).message} after line ${first - 1}`,
    )
  } finally {
    source.destroy()
  }
  rest += decoder.decode()
  if (rest !== '') yield { first, lines: [withoutReturn(rest)] }
}

/** @throws UsageError when there is no such file, or it cannot be read */
export async function inspect(file: string, what: string): Promise<{ gzip: boolean; size: number }> {
  try {
    await using handle = await open(file, 'r')
    const stat = await handle.stat()
    if (!stat.isFile()) throw UsageError.of(what, 'a file', `${file}, which is none`)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
    return { gzip: bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b, size: stat.size }
  } catch (error) {
    if (error instanceof UsageError) throw error
    const code = (error as NodeJS.ErrnoException).code
    throw UsageError.of(
      what,
      'a file that can be read',
      `${file} (${code === 'ENOENT' ? 'there is no such file' : (error as Error).message})`,
    )
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
