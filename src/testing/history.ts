/**
 * What was done to a cache and seen of it, by whom and when: the record that `checkHistory` judges.
 *
 * Columns of numbers rather than an object an operation, so that a million operations take some 80 MB and no garbage: keys, values, sessions
 * and levels are kept once and named by a number. A history has a bound, and says so rather than grow past it.
 *
 * The promise: what was added is given back as it was, in any order of adding; nothing is judged here but the shape of an operation.
 */
import { ConfigurationError, OverloadError } from '../errors.ts'
import { oneOf, wholeNumber } from '../options.ts'

/** `update`: compare-and-set, a write that was derived from what lay there. */
export type OperationKind = 'read' | 'write' | 'delete' | 'update'

/** `unknown`: it may or may not have happened, at any time after its call. `failed`: it did not and never will. */
export type OperationOutcome = 'ok' | 'failed' | 'unknown'

/** Unique for each write of a history, whatever its key. */
export type HistoryValue = string | number

export interface Operation {
  /** The number of the process that did it, 0 to 65,535. */
  readonly process: number
  readonly key: string
  readonly kind: OperationKind
  /** What was written, or what a read saw; undefined: it saw nothing, or is a delete. */
  readonly value?: HistoryValue | undefined
  /** Of an update: the value it was derived from; undefined: there was none. */
  readonly from?: HistoryValue | undefined
  /** Where it is known: of the write, or of what a read saw. */
  readonly version?: bigint | undefined
  /** At which level it was read or written: named in reports, and a bound may hang on it. */
  readonly level?: string | undefined
  /** How old what a read saw may be, ms, counted from the acknowledgement of what came after it. Default: the level's. */
  readonly boundMs?: number | undefined
  /** Reads of a session see the session's own writes, whatever their bound. */
  readonly session?: string | undefined
  /** When it was called and when it returned, ms with fractions, on one clock for all processes. */
  readonly callMs: number
  readonly returnMs: number
  readonly outcome: OperationOutcome
  /** The cache said of what it gave that it may be old. */
  readonly markedStale?: boolean | undefined
}

const KINDS: readonly OperationKind[] = ['read', 'write', 'delete', 'update']
const OUTCOMES: readonly OperationOutcome[] = ['ok', 'failed', 'unknown']
const FIRST_CAPACITY = 1_024
const MAX_OPERATIONS = 16_000_000
/** In place of a name's number: there is none. */
export const NONE = -1

export interface HistoryLimits {
  /** How many operations it takes at most. Default 16,000,000. */
  readonly maxOperations?: number | undefined
}

export class History {
  readonly keys = new Names<string>()
  readonly values = new Names<HistoryValue>()
  readonly sessions = new Names<string>()
  readonly levels = new Names<string>()
  readonly #maxOperations: number
  #columns = new Columns(FIRST_CAPACITY)
  #size = 0

  constructor(limits: HistoryLimits = {}) {
    this.#maxOperations = wholeNumber(limits.maxOperations ?? MAX_OPERATIONS, 'history: maxOperations', 1)
  }

  static of(operations: Iterable<Operation>, limits?: HistoryLimits): History {
    const history = new History(limits)
    for (const operation of operations) history.add(operation)
    return history
  }

  get size(): number {
    return this.#size
  }

  /** For what judges: to be read, up to `size`. */
  get columns(): Columns {
    return this.#columns
  }

  /** @throws OverloadError when it is full @throws ConfigurationError for times that run backwards, or a write without a value */
  add(operation: Operation): void {
    const { process, kind, outcome, callMs, returnMs, value, version } = operation
    if (this.#size >= this.#maxOperations) throw new OverloadError(`history: holds at most ${this.#maxOperations} operations`)
    wholeNumber(process, 'operation: process', 0, 65_535)
    if (!(returnMs >= callMs)) throw ConfigurationError.of('operation: returnMs', `a time not before its callMs (${callMs})`, returnMs)
    if (value === undefined && (kind === 'write' || kind === 'update'))
      throw ConfigurationError.of('operation: value', 'what was written', value)
    if (this.#size === this.#columns.call.length) this.#columns = this.#columns.grown()
    const at = this.#size++
    const columns = this.#columns
    columns.process[at] = process
    columns.kind[at] = KINDS.indexOf(oneOf(kind, 'operation: kind', KINDS))
    columns.outcome[at] = OUTCOMES.indexOf(oneOf(outcome, 'operation: outcome', OUTCOMES))
    columns.key[at] = this.keys.numberOf(operation.key)
    columns.value[at] = value === undefined || kind === 'delete' ? NONE : this.values.numberOf(value)
    columns.from[at] = operation.from === undefined ? NONE : this.values.numberOf(operation.from)
    columns.level[at] = operation.level === undefined ? NONE : this.levels.numberOf(operation.level)
    columns.session[at] = operation.session === undefined ? NONE : this.sessions.numberOf(operation.session)
    columns.version[at] = version ?? 0n
    columns.bound[at] = operation.boundMs ?? Number.NaN
    columns.call[at] = callMs
    columns.return[at] = returnMs
    columns.markedStale[at] = operation.markedStale === true ? 1 : 0
  }

  /** The versions of the writes of these values are not known after all: their rows were made newer since, without a new value. */
  forgetVersions(values: ReadonlySet<HistoryValue>): void {
    const { kind, value, version } = this.#columns
    for (let at = 0; at < this.#size; at++) {
      if (kind[at] !== KIND.read && value[at] !== NONE && values.has(this.values.nameOf(value[at]!)!)) version[at] = 0n
    }
  }

  at(index: number): Operation {
    const columns = this.#columns
    const boundMs = columns.bound[index]!
    return {
      process: columns.process[index]!,
      key: this.keys.nameOf(columns.key[index]!)!,
      kind: KINDS[columns.kind[index]!]!,
      value: this.values.nameOf(columns.value[index]!),
      from: this.values.nameOf(columns.from[index]!),
      version: columns.version[index] === 0n ? undefined : columns.version[index],
      level: this.levels.nameOf(columns.level[index]!),
      boundMs: Number.isNaN(boundMs) ? undefined : boundMs,
      session: this.sessions.nameOf(columns.session[index]!),
      callMs: columns.call[index]!,
      returnMs: columns.return[index]!,
      outcome: OUTCOMES[columns.outcome[index]!]!,
      markedStale: columns.markedStale[index] === 1 ? true : undefined,
    }
  }
}

/** The bytes that stand for a kind and an outcome. */
export const KIND = { read: 0, write: 1, delete: 2, update: 3 } as const
export const OUTCOME = { ok: 0, failed: 1, unknown: 2 } as const

/** Names by number, each kept once. */
class Names<T> {
  readonly #numbers = new Map<T, number>()
  readonly #names: T[] = []

  get size(): number {
    return this.#names.length
  }

  numberOf(name: T): number {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#names.length
      this.#numbers.set(name, number)
      this.#names.push(name)
    }
    return number
  }

  nameOf(number: number): T | undefined {
    return this.#names[number]
  }
}

class Columns {
  readonly process: Uint16Array
  readonly kind: Uint8Array
  readonly outcome: Uint8Array
  readonly markedStale: Uint8Array
  readonly key: Int32Array
  readonly value: Int32Array
  readonly from: Int32Array
  readonly level: Int32Array
  readonly session: Int32Array
  /** 0n: not known. */
  readonly version: BigInt64Array
  /** NaN: the level's. */
  readonly bound: Float64Array
  readonly call: Float64Array
  readonly return: Float64Array

  constructor(capacity: number) {
    this.process = new Uint16Array(capacity)
    this.kind = new Uint8Array(capacity)
    this.outcome = new Uint8Array(capacity)
    this.markedStale = new Uint8Array(capacity)
    this.key = new Int32Array(capacity)
    this.value = new Int32Array(capacity)
    this.from = new Int32Array(capacity)
    this.level = new Int32Array(capacity)
    this.session = new Int32Array(capacity)
    this.version = new BigInt64Array(capacity)
    this.bound = new Float64Array(capacity)
    this.call = new Float64Array(capacity)
    this.return = new Float64Array(capacity)
  }

  grown(): Columns {
    const grown = new Columns(2 * this.call.length)
    for (const name of Object.keys(this) as (keyof Columns)[]) {
      if (name !== 'grown') (grown[name] as Float64Array).set(this[name] as Float64Array)
    }
    return grown
  }
}

export type { Columns }
