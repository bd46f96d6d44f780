/**
 * Every request that was due, in columns of numbers: when, how it ended, and how long after it was due.
 *
 * Plain arrays of numbers cross a process boundary as they are, and a hundred thousand requests take few megabytes. It grows up to a bound
 * and says so past it.
 */

export const KINDS = ['read', 'many', 'write', 'delete'] as const
export type RequestKind = (typeof KINDS)[number]

/**
 * `hit` `stale`: what nodes had. `loaded`: the store was asked. `done`: a write. `refused`: an error of the library's own; `broken`: any other.
 * `wrong`: an answer to something else. `unsent`: the generator could not send it in time. `unanswered`: no answer when all was over.
 */
export const RESULTS = ['hit', 'stale', 'loaded', 'done', 'refused', 'broken', 'wrong', 'unsent', 'unanswered'] as const
export type RequestResult = (typeof RESULTS)[number]

export interface RequestRow {
  readonly dueMs: number
  /** From when it was due to its answer; of one that has none, to when it was given up. */
  readonly tookMs: number
  /** By how much it was sent late. */
  readonly lagMs: number
  readonly kind: RequestKind
  readonly result: RequestResult
  /** Of keys that nobody changes. */
  readonly isSteady: boolean
  /** The shard of its key; of several keys that of the first. */
  readonly shard: number
  /** The code of its error; '' where there is none. */
  readonly code: string
}

export interface RequestColumns {
  readonly due: Float64Array
  readonly took: Float32Array
  readonly lag: Float32Array
  readonly kind: Uint8Array
  readonly result: Uint8Array
  readonly steady: Uint8Array
  readonly shard: Uint8Array
  readonly code: Uint8Array
  readonly codes: readonly string[]
}

/** A client has half of what a run may ask for: see `MOST_REQUESTS`. */
const MOST_ROWS = 4_000_000
const MOST_CODES = 250
const FIRST_ROWS = 16_384

export class RequestLog {
  #columns = columnsFor(FIRST_ROWS)
  #size = 0
  readonly #codes = ['']

  get size(): number {
    return this.#size
  }

  /** @returns where it stands, for `settle` */
  due(dueMs: number, lagMs: number, kind: RequestKind, isSteady: boolean, shard: number): number {
    if (this.#size >= MOST_ROWS) throw new Error(`request log: holds at most ${MOST_ROWS} requests`)
    if (this.#size === this.#columns.due.length) this.#grow()
    const at = this.#size++
    const { due, lag, kind: kinds, result, steady, shard: shards } = this.#columns
    due[at] = dueMs
    lag[at] = lagMs
    kinds[at] = KINDS.indexOf(kind)
    result[at] = RESULTS.indexOf('unanswered')
    steady[at] = isSteady ? 1 : 0
    shards[at] = shard
    return at
  }

  settle(at: number, result: RequestResult, tookMs: number, code = ''): void {
    this.#columns.result[at] = RESULTS.indexOf(result)
    this.#columns.took[at] = tookMs
    this.#columns.code[at] = this.#codeOf(code)
  }

  columns(): RequestColumns {
    const cut = Object.entries(this.#columns).map(([name, column]) => [name, column.slice(0, this.#size)])
    return { ...Object.fromEntries(cut), codes: this.#codes } as RequestColumns
  }

  #codeOf(code: string): number {
    const known = this.#codes.indexOf(code)
    if (known >= 0) return known
    return this.#codes.length < MOST_CODES ? this.#codes.push(code) - 1 : 0
  }

  #grow(): void {
    const grown = columnsFor(2 * this.#columns.due.length)
    for (const [name, column] of Object.entries(this.#columns)) (grown[name as 'due'] as Float64Array).set(column as Float64Array)
    this.#columns = grown
  }
}

export function* requestsOf(columns: RequestColumns): Generator<RequestRow> {
  for (let at = 0; at < columns.due.length; at++) {
    yield {
      dueMs: columns.due[at]!,
      tookMs: columns.took[at]!,
      lagMs: columns.lag[at]!,
      kind: KINDS[columns.kind[at]!]!,
      result: RESULTS[columns.result[at]!]!,
      isSteady: columns.steady[at] === 1,
      shard: columns.shard[at]!,
      code: columns.codes[columns.code[at]!]!,
    }
  }
}

function columnsFor(rows: number) {
  return {
    due: new Float64Array(rows),
    took: new Float32Array(rows),
    lag: new Float32Array(rows),
    kind: new Uint8Array(rows),
    result: new Uint8Array(rows),
    steady: new Uint8Array(rows),
    shard: new Uint8Array(rows),
    code: new Uint8Array(rows),
  }
}
