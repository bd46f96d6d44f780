/**
 * A cache's keys are text; a table's may be numbers or UUIDs. Only a key spelt exactly as PostgreSQL would print it is a key of the table:
 * so `7` and `007` are never one row, and a key that the column cannot hold is known before it is sent, where it would fail its whole batch.
 */
import { inspectBriefly, StoreError } from '../errors.ts'
import { oneOf } from '../options.ts'

export type PostgresKeyType = 'text' | 'bigint' | 'integer' | 'uuid'

const HOLDS: Readonly<Record<PostgresKeyType, (key: string) => boolean>> = {
  // No NUL in PostgreSQL's text; and a lone surrogate has no UTF-8, so that two such keys would become one.
  text: (key) => !key.includes('\0') && key.isWellFormed(),
  bigint: (key) => isInteger(key, -(2n ** 63n), 2n ** 63n - 1n),
  integer: (key) => isInteger(key, -(2n ** 31n), 2n ** 31n - 1n),
  uuid: (key) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(key),
}

/** What no key of the type comes before. */
const LOWEST: Readonly<Record<PostgresKeyType, string>> = {
  text: '',
  bigint: String(-(2n ** 63n)),
  integer: String(-(2n ** 31n)),
  uuid: '00000000-0000-0000-0000-000000000000',
}

export class PostgresKey {
  readonly type: PostgresKeyType
  readonly lowest: string
  /** Whether there could be a row under this key. */
  readonly canBe: (key: string) => boolean

  constructor(type: PostgresKeyType, what: string) {
    this.type = oneOf(type, what, Object.keys(HOLDS) as PostgresKeyType[])
    this.canBe = HOLDS[type]
    this.lowest = LOWEST[type]
  }

  /** Why a save under this key fails. */
  refusal(key: string, name: string): StoreError | undefined {
    if (this.canBe(key)) return undefined
    return new StoreError(`${name}: a key needs to be of type ${this.type}, as PostgreSQL prints it, but got: ${inspectBriefly(key)}`)
  }
}

function isInteger(key: string, min: bigint, max: bigint): boolean {
  if (!/^(?:0|-?[1-9]\d{0,18})$/.test(key)) return false
  const value = BigInt(key)
  return value >= min && value <= max
}
