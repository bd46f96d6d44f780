/**
 * The directory of a journal: made, of one process at a time, and readable by its owner only.
 *
 * The lock is that of an empty SQLite file beside the journal's, so that it is held before anything of the journal is read, and ends with the
 * process. A directory that was there is left as it is, for others may use it; what lies in the journal's files is their owner's all the same.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { ConfigurationError, JournalError } from '../errors.ts'

export const JOURNAL_FILE = 'writes.journal'
const LOCK_FILE = 'writes.lock'
const BUSY = 5

/**
 * @returns the journal's file, and what holds the lock until it is closed
 * @throws JournalError when the directory is another process's, or cannot be made or used
 */
export function takeDirectory(directory: string): { readonly path: string; readonly lock: DatabaseSync } {
  const path = join(directory, JOURNAL_FILE)
  const locked = join(directory, LOCK_FILE)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (!statSync(directory).isDirectory()) throw ConfigurationError.of('journal: directory', 'a directory', directory)
    // What SQLite lays beside its file gets the file's mode.
    for (const file of [path, locked]) makePrivate(file)
    for (const beside of [`${path}-wal`, `${path}-shm`]) if (existsSync(beside)) chmodSync(beside, 0o600)
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause
    throw new JournalError(`journal ${path}: cannot be made or opened: ${(cause as Error).message}`, 'broken', { cause })
  }
  return { path, lock: lockOf(locked, path) }
}

/** A file that is there is not opened: closing it would end the lock that this process may have on it. */
function makePrivate(file: string): void {
  if (existsSync(file)) chmodSync(file, 0o600)
  else closeSync(openSync(file, 'ax', 0o600))
}

function lockOf(locked: string, path: string): DatabaseSync {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(locked, { timeout: 0 })
    lock.exec('begin exclusive')
    return lock
  } catch (cause) {
    lock?.close()
    if (((cause as { errcode?: number }).errcode ?? 0) % 256 === BUSY)
      throw new JournalError(`journal ${path}: is another process's: each process needs a directory of its own`, 'busy', { cause })
    throw new JournalError(`journal ${path}: cannot be locked: ${(cause as Error).message}`, 'broken', { cause })
  }
}
