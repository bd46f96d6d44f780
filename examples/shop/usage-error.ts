/** What the user asked for cannot be done as asked: told in one line on stderr, exit code 2, no stack trace. */
import { harmless } from './shown.ts'

export class UsageError extends Error {
  override readonly name = 'UsageError'

  /** @param what the option or file @param needed what would have been right @param got what came, in our words; of a file's own use `shown` */
  static of(what: string, needed: string, got: string): UsageError {
    return new UsageError(`${harmless(what)}: needs ${needed}, but got: ${harmless(got)}`)
  }
}
