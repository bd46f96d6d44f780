/**
 * Writes a history down while it happens, in the process where it happens, as lines of JSON; and reads what several processes wrote.
 *
 * The record must cost little and outlive its process: lines gather in a buffer of bounded size and are written to the file in one piece, at
 * once when it is full, so that what was recorded before a crash is lost by the last buffer at most. Times come from `sharedMs`, the system's
 * monotonic clock, which all processes of one machine read alike.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { History, type HistoryLimits, type Operation } from './history.ts'

/** Milliseconds, with fractions, on a clock that is the same for all processes of this machine and never goes back. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

const BUFFER_CHARACTERS = 256 * 1_024
const READ_BYTES = 1_024 * 1_024

/** A line, in this order; null: not given. */
type Line = [
  process: number,
  key: string,
  kind: Operation['kind'],
  value: string | number | null,
  from: string | number | null,
  version: string | null,
  level: string | null,
  boundMs: number | null,
  session: string | null,
  callMs: number,
  returnMs: number,
  outcome: Operation['outcome'],
  markedStale: 1 | null,
]

export class HistoryRecorder {
  readonly file: string
  readonly #descriptor: number
  #buffer = ''
  #closed = false
  recorded = 0

  /** @param file made or appended to */
  constructor(file: string) {
    this.file = file
    this.#descriptor = openSync(file, 'a')
  }

  record(operation: Operation): void {
    const { process, key, kind, value, from, version, level, boundMs, session, callMs, returnMs, outcome, markedStale } = operation
    const line: Line = [
      process,
      key,
      kind,
      value ?? null,
      from ?? null,
      version === undefined ? null : String(version),
      level ?? null,
      boundMs ?? null,
      session ?? null,
      callMs,
      returnMs,
      outcome,
      markedStale === true ? 1 : null,
    ]
    this.#buffer += `${JSON.stringify(line)}\n`
    this.recorded++
    if (this.#buffer.length >= BUFFER_CHARACTERS) this.flush()
  }

  flush(): void {
    if (this.#buffer !== '') writeSync(this.#descriptor, this.#buffer)
    this.#buffer = ''
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.flush()
    closeSync(this.#descriptor)
  }
}

/** The histories of several processes as one. A last line that was cut short is left out. @throws OverloadError when they hold too much */
export function readHistory(files: Iterable<string>, limits?: HistoryLimits): History {
  const history = new History(limits)
  for (const file of files) for (const line of linesOf(file)) history.add(operationOf(JSON.parse(line) as Line))
  return history
}

function operationOf([
  process,
  key,
  kind,
  value,
  from,
  version,
  level,
  boundMs,
  session,
  callMs,
  returnMs,
  outcome,
  markedStale,
]: Line): Operation {
  return {
    process,
    key,
    kind,
    value: value ?? undefined,
    from: from ?? undefined,
    version: version === null ? undefined : BigInt(version),
    level: level ?? undefined,
    boundMs: boundMs ?? undefined,
    session: session ?? undefined,
    callMs,
    returnMs,
    outcome,
    markedStale: markedStale === 1 ? true : undefined,
  }
}

/** Whole lines only, a piece of the file at a time. */
function* linesOf(file: string): Generator<string> {
  const descriptor = openSync(file, 'r')
  const decoder = new StringDecoder('utf8')
  const piece = Buffer.allocUnsafe(READ_BYTES)
  try {
    let rest = ''
    for (let read = readSync(descriptor, piece); read > 0; read = readSync(descriptor, piece)) {
      const lines = (rest + decoder.write(piece.subarray(0, read))).split('\n')
      rest = lines.pop()!
      yield* lines
    }
  } finally {
    closeSync(descriptor)
  }
}
