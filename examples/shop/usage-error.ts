/** What the user asked for cannot be done as asked: told in one line on stderr, exit code 2, no stack trace. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  /** @param what the option or file @param needed what would have been right @param got what came */
  static of(what: string, needed: string, got: string): UsageError {
    return new UsageError(`${what}: needs ${needed}, but got: ${got.length > 120 ? `${got.slice(0, 119)}…` : got}`)
  }
}
