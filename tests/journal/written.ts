/**
 * A journal of many groups, with its two files as they were after each of them.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { JOURNAL_FILE } from '../../src/journal/journal-directory.ts'
import { JournalFile } from '../../src/journal/journal-file.ts'
import { JournalModel } from './model.ts'

export const MAX_BYTES = 10_000_000
export const LOG_FILE = `${JOURNAL_FILE}-wal`
export const SECTOR_BYTES = 512
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24

export interface Files {
  readonly main: Buffer
  readonly log: Buffer
}

export interface State extends Files {
  /** What it holds. */
  readonly text: string
  /** Its log was long enough to be written back into the file. */
  readonly isWrittenBack: boolean
}

/** Writes groups into an empty folder. @param checkpointPages after which the log is begun anew @returns the states, the first of which holds nothing */
export function writeGroups(
  directory: string,
  { groups, keys, checkpointPages }: { readonly groups: number; readonly keys: number; readonly checkpointPages: number },
  random: () => number,
): State[] {
  rmSync(directory, { recursive: true, force: true })
  const { file } = JournalFile.open(directory, MAX_BYTES, checkpointPages)
  const model = new JournalModel()
  const states: State[] = [{ text: model.text(), ...filesOf(directory), isWrittenBack: false }]
  for (let group = 1; group <= groups; group++) {
    file.commit(model.draw(random, keys))
    const files = filesOf(directory)
    const isWrittenBack = endOf(files.log) >= HEADER_BYTES + checkpointPages * (FRAME_HEADER_BYTES + files.log.readUInt32BE(8))
    states.push({ text: model.text(), ...files, isWrittenBack })
  }
  file.close()
  return states
}

export function filesOf(directory: string): Files {
  const log = join(directory, LOG_FILE)
  return { main: readFileSync(join(directory, JOURNAL_FILE)), log: existsSync(log) ? readFileSync(log) : Buffer.alloc(0) }
}

export function layFiles(directory: string, { main, log }: Files): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, JOURNAL_FILE), main)
  writeFileSync(join(directory, LOG_FILE), log)
}

/** @returns where the frames end that a sound log has under its salts, bytes */
export function endOf(log: Buffer): number {
  if (log.length < HEADER_BYTES) return 0
  const frameBytes = FRAME_HEADER_BYTES + log.readUInt32BE(8)
  let at = HEADER_BYTES
  while (at + frameBytes <= log.length && log.subarray(at + 8, at + 16).equals(saltsOf(log))) at += frameBytes
  return at
}

export function saltsOf(log: Buffer): Buffer {
  return log.subarray(16, 24)
}

/**
 * The files as a loss of power can leave them while a group is under way: some of its sectors came to the disk, in any order.
 * @param came whether the n-th sector did
 */
export function torn(before: Files, after: Files, came: (nth: number) => boolean): Files {
  const anew = !saltsOf(before.log).equals(saltsOf(after.log))
  const from = anew ? HEADER_BYTES : endOf(before.log)
  const end = endOf(after.log)
  const log = Buffer.alloc(Math.max(before.log.length, end))
  before.log.copy(log)
  // The header of a log that is begun anew is synced before its frames.
  if (anew) after.log.copy(log, 0, 0, HEADER_BYTES)
  let length = Math.max(anew ? HEADER_BYTES : 0, before.log.length)
  for (let nth = Math.floor(from / SECTOR_BYTES); nth * SECTOR_BYTES < end; nth++) {
    if (!came(nth)) continue
    const upTo = Math.min(end, (nth + 1) * SECTOR_BYTES)
    after.log.copy(log, Math.max(from, nth * SECTOR_BYTES), Math.max(from, nth * SECTOR_BYTES), upTo)
    length = Math.max(length, upTo)
  }
  // What was in the log is written back before that is begun anew, and a group may be written back as soon as it is whole.
  return { main: anew ? after.main : before.main, log: log.subarray(0, length) }
}
