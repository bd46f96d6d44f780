/**
 * Recorded data, which is not part of the project: read where it is, `../shared/data` beside the project or the folder that `BENCH_DATA` names.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

/** The folder. */
export const DATA = process.env.BENCH_DATA ?? fileURLToPath(new URL('../../../shared/data', import.meta.url))

/** @param files all of them @returns what is in them, unpacked; undefined where one is not there */
export function recorded(...files: readonly string[]): Buffer[] | undefined {
  const paths = files.map((file) => join(DATA, file))
  return paths.every((path) => existsSync(path)) ? paths.map((path) => gunzipSync(readFileSync(path))) : undefined
}

/** @returns the lines, without their ends */
export function linesOf(bytes: Buffer): string[] {
  return bytes.toString().trimEnd().split('\n')
}
