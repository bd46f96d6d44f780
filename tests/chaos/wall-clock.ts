/**
 * Debian's `faketime`: a process under a wall clock that a file sets while it runs, and the system's own monotonic clock.
 */
import { existsSync } from 'node:fs'

/** Of Debian, Fedora and Alpine. */
const FOLDERS = ['/usr/lib/x86_64-linux-gnu/faketime', '/usr/lib/aarch64-linux-gnu/faketime', '/usr/lib64/faketime', '/usr/lib/faketime']
const LIBRARIES = FOLDERS.map((folder) => `${folder}/libfaketime.so.1`)

/** The environment of a process whose wall clock is offset by what the file says. @throws Error where faketime is not installed */
export function fakeClockEnvironment(file: string): Readonly<Record<string, string>> {
  const library = LIBRARIES.find((path) => existsSync(path))
  if (library === undefined)
    throw new Error("chaos: needs Debian's package faketime for a wall clock that jumps, but found no libfaketime.so.1")
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
}
