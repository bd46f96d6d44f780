/**
 * Every error that Ringtail throws on purpose.
 *
 * One base class, so that `error instanceof RingtailError` tells ours from yours; one class a cause, with a literal `code` to switch on
 * (texts may change between releases, codes do not); `cause` holds what lay beneath. Messages say what was needed and what came.
 */

export abstract class RingtailError extends Error {
  /** A literal, stable across releases: switch on it instead of matching the message. */
  abstract readonly code: string
}

/** Whether this process lets anybody set it: not with `--frozen-intrinsics`. */
const mayLimit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable === true

/**
 * One that comes by the thousand when something is down or too much is asked: it has no stack trace. Taking one costs more than a read, which
 * would be spent just when there is no time, and nearly always it would tell of timers and sockets, not of who called.
 */
abstract class MassError extends RingtailError {
  constructor(message: string, options?: ErrorOptions) {
    const { stackTraceLimit } = Error
    if (mayLimit) Error.stackTraceLimit = 0
    super(message, options)
    if (mayLimit) Error.stackTraceLimit = stackTraceLimit
  }
}

/** An option or argument was wrong. Thrown where it was given: at construction, or by the call that took it. */
export class ConfigurationError extends RingtailError {
  override readonly name = 'ConfigurationError'
  readonly code = 'CONFIGURATION'

  /** @param what the option's full name, such as `cache 'product': ttl` @param needed what would have been right @param got the value that came */
  static of(what: string, needed: string, got: unknown): ConfigurationError {
    return new ConfigurationError(`${what}: needs ${needed}, but got: ${inspectBriefly(got)}`)
  }
}

/** A call, or one try of it, took longer than it may. What it asked for may or may not have happened. */
export class DeadlineError extends MassError {
  override readonly name = 'DeadlineError'
  readonly code = 'DEADLINE_EXCEEDED'
}

/** A cache node could not take or answer a call: not connected, refused, or replied with an error. Nothing of the call happened unless `outcome` is 'unknown'. */
export class NodeError extends MassError {
  override readonly name = 'NodeError'
  readonly code = 'NODE_FAILED'
  readonly node: string
  readonly outcome: 'failed' | 'unknown'
  /** Whether it was not asked, because an answer to an earlier call is overdue. */
  declare readonly overdue?: true

  constructor(message: string, node: string, options?: ErrorOptions & { outcome?: 'failed' | 'unknown'; overdue?: boolean }) {
    super(message, options)
    this.node = node
    this.outcome = options?.outcome ?? 'failed'
    if (options?.overdue === true) this.overdue = true
  }
}

/** Of a node that is not asked while it owes an earlier answer; soon it may have given it. */
export function overdueError(node: string): NodeError {
  return new NodeError(`node ${node}: a reply is overdue, nothing more is sent until it comes`, node, { overdue: true })
}

/**
 * A call was shed rather than queued without end; nothing of it happened. `full`: its queue had no room. `late`: its turn would not have come,
 * or did not come, in time. `open`: whom it would have asked fails so often that it is not asked for now.
 */
export class OverloadError extends MassError {
  override readonly name = 'OverloadError'
  readonly code = 'OVERLOADED'
  readonly reason: 'full' | 'late' | 'open'

  constructor(message: string, reason: 'full' | 'late' | 'open' = 'full', options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** No owner of a key could answer, and there was no store to ask instead. */
export class UnavailableError extends MassError {
  override readonly name = 'UnavailableError'
  readonly code = 'UNAVAILABLE'
}

/** Fewer owners acknowledged a write than its level asks for. Some may have it. */
export class UnacknowledgedError extends RingtailError {
  override readonly name = 'UnacknowledgedError'
  readonly code = 'UNACKNOWLEDGED'
}

/** The database behind a cache refused or could not answer. `cause` is the driver's own error. */
export class StoreError extends RingtailError {
  override readonly name = 'StoreError'
  readonly code = 'STORE_FAILED'
  /** Whether one row is at fault, and the database is well. */
  declare readonly ofRow?: true

  constructor(message: string, options?: ErrorOptions & { ofRow?: boolean }) {
    super(message, options)
    if (options?.ofRow === true) this.ofRow = true
  }
}

/** A loader said that it could not load: `context.fail(reason)`. */
export class LoadError extends RingtailError {
  override readonly name = 'LoadError'
  readonly code = 'LOAD_FAILED'
}

/** `update` or a conditional save met a newer version each time it tried. */
export class ConflictError extends RingtailError {
  override readonly name = 'ConflictError'
  readonly code = 'CONFLICT'
}

/**
 * A change of the ring could not be begun or gone on with. `busy`: another process is at it. `unfinished`: an earlier one has to be resumed or rolled
 * back first; `settled`: there is none to be. `unreachable`: too few nodes took the decision, or what had to be copied. `aborted`: it was
 * given up by its caller. Where a change had begun, it was rolled back unless the message says that it is unfinished.
 */
export class TopologyError extends RingtailError {
  override readonly name = 'TopologyError'
  readonly code = 'TOPOLOGY'
  readonly reason: 'busy' | 'unfinished' | 'settled' | 'unreachable' | 'aborted'
  /** Of `busy` and `unfinished`: who is, or was, at it. */
  declare readonly by?: string

  constructor(message: string, reason: TopologyError['reason'], options?: ErrorOptions & { by?: string | undefined }) {
    super(message, options)
    this.reason = reason
    if (options?.by !== undefined) this.by = options.by
  }
}

/** The operation is not one that this strategy, store or node offers. */
export class UnsupportedError extends RingtailError {
  override readonly name = 'UnsupportedError'
  readonly code = 'UNSUPPORTED'
}

/** A value could not be turned into bytes: it does not serialize, or it is larger than allowed. */
export class EncodeError extends RingtailError {
  override readonly name = 'EncodeError'
  readonly code = 'ENCODE_FAILED'
}

/**
 * A write-behind journal could not take a write or be opened. `full`: it or its disk has no room; nothing happened. `busy`: it is another
 * process's. `damaged`: what it holds was bent or cut, and nothing of it is read. `broken`: the disk failed it, and whether the write is on it is
 * not known.
 */
export class JournalError extends RingtailError {
  override readonly name = 'JournalError'
  readonly code = 'JOURNAL_FAILED'
  readonly reason: 'full' | 'busy' | 'damaged' | 'broken'

  constructor(message: string, reason: 'full' | 'busy' | 'damaged' | 'broken', options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** The tier, node or store was closed. */
export class ClosedError extends RingtailError {
  override readonly name = 'ClosedError'
  readonly code = 'CLOSED'
}

/** At most 80 characters of any value, for a message; never throws. */
export function inspectBriefly(value: unknown): string {
  let text: string
  try {
    if (typeof value === 'string') text = JSON.stringify(value)
    else if (typeof value === 'function') text = `function ${value.name || '(anonymous)'}`
    else if (typeof value === 'object' && value !== null) text = JSON.stringify(value) ?? String(value)
    else text = String(value)
  } catch {
    text = Object.prototype.toString.call(value)
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

/** What was thrown, as an Error: a driver or a loader may throw anything. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(inspectBriefly(thrown))
}
