/**
 * One table of a capture: which cached keys and tags a change of one of its rows is about, and what is known of their versions.
 */
import { ConfigurationError } from '../errors.ts'
import { MAX_TAG_BYTES } from '../invalidation/group-records.ts'
import { oneOf } from '../options.ts'
import { booleanOr, optionalFunction, withMethods } from '../store/checked-options.ts'
import { POSTGRES_TABLE_OPTIONS, PostgresTable } from '../store/postgres-table.ts'
import type { RowChange } from '../strategy/strategy.ts'
import type { CapturedCache, CapturedTableOptions } from './capture.ts'
import type { ColumnTexts, LogMessage, ReplicatedRelation } from './pg-client.ts'
import { rowOf, valueIn } from './row-image.ts'

export const CAPTURED_TABLE_OPTIONS = [...POSTGRES_TABLE_OPTIONS, 'cache', 'apply', 'keys', 'tags', 'rising']

/** pg_type.oid of char(n), whose text the log has with the blanks that fill it up. */
export const PADDED_TYPE = 1042

/** A message that is about one row. */
export type RowMessage = Extract<LogMessage, { tag: 'insert' | 'update' | 'delete' }>

/** What one row's change is to one cache. */
export interface CapturedChange {
  readonly cache: CapturedCache
  readonly changes: readonly RowChange<unknown>[]
  readonly tags: readonly string[]
}

export class CapturedTable {
  readonly cache: CapturedCache
  /** As the caller spelt it. */
  readonly name: string
  /** Quoted. */
  readonly quoted: string
  readonly keyColumn: string
  readonly hasOwnKeys: boolean
  readonly hasTags: boolean
  readonly hasVersions: boolean
  /** Whether it was said that versions rise; undefined: the table's trigger says it. */
  readonly saidRising: boolean | undefined
  /** undefined: rows have none. */
  readonly versionColumn: string | undefined
  /** Set once the table was looked at. */
  rising = false
  /** Whether its keys are of type char(n), which is filled up with blanks that are no part of the key. Set once the table was looked at. */
  padsKeys = false
  readonly #options: CapturedTableOptions
  readonly #refreshes: boolean

  constructor(options: CapturedTableOptions, what: string) {
    this.cache = withMethods(options.cache, ['applyChanges', 'clear'], `${what}: cache`, 'a cache of this tier')
    if (options.cache.isPlain === true)
      throw new ConfigurationError(
        `${what}: cache: needs one that can be cleared, for when changes may have been missed, but got: '${options.cache.name}', of plain keys`,
      )
    this.name = options.table
    this.quoted = new PostgresTable(tableOptionsOf(options), what).table
    this.keyColumn = options.key ?? 'key'
    this.hasOwnKeys = optionalFunction(options.keys, `${what}: keys`) !== undefined
    this.hasTags = optionalFunction(options.tags, `${what}: tags`) !== undefined
    this.hasVersions = options.version !== false
    this.versionColumn = options.version === false ? undefined : (options.version ?? 'version')
    this.#refreshes = oneOf(options.apply ?? 'invalidate', `${what}: apply`, ['invalidate', 'refresh']) === 'refresh'
    this.saidRising = options.rising === undefined ? undefined : booleanOr(false, options.rising, `${what}: rising`)
    this.#options = options
    if (this.#refreshes && (this.hasOwnKeys || !this.hasVersions))
      throw ConfigurationError.of(`${what}: apply`, "'invalidate' for a table without versions, or with `keys` of its own", 'refresh')
  }

  /** @param committedMs by the database's clock @throws ConfigurationError when a function of the caller's throws, or returns what is no key */
  changeOf(message: RowMessage, committedMs: number): CapturedChange {
    const { relation } = message
    const row = message.tag === 'delete' ? undefined : message.new
    const old = message.tag === 'insert' ? undefined : (message.old ?? message.key ?? undefined)
    const changes = this.hasOwnKeys ? this.#ownChanges(row, old, relation, committedMs) : this.#changes(message, row, old, committedMs)
    return { cache: this.cache, changes, tags: this.#tagsOf(row, old, relation) }
  }

  /** A change that is known by its key alone. */
  changeOfKey(key: string, op: RowChange<unknown>['op'], version: bigint | undefined, committedMs: number): CapturedChange {
    const known = version === undefined || !this.hasVersions ? undefined : atLeastOne(version)
    const spelt = this.padsKeys ? unpadded(key) : key
    return { cache: this.cache, changes: [{ key: spelt, op, version: known, rising: this.rising, committedMs }], tags: [] }
  }

  #changes(message: RowMessage, row: ColumnTexts | undefined, old: ColumnTexts | undefined, committedMs: number): RowChange<unknown>[] {
    const { rising } = this
    const key = this.#keyOf(row, message.relation)
    const oldKey = this.#keyOf(old, message.relation)
    const changes: RowChange<unknown>[] = []
    const moved = key !== undefined && oldKey !== undefined && oldKey !== key
    if (oldKey !== undefined && (row === undefined || moved))
      changes.push({
        key: oldKey,
        op: 'delete',
        version: this.#versionOf(message.tag === 'insert' ? undefined : message.old),
        rising,
        committedMs,
      })
    if (key === undefined || row === undefined) return changes
    const version = this.#versionOf(row)
    const fresh = this.#refreshes && rising && version !== undefined ? valueIn(row, message.relation, this.#options) : undefined
    changes.push({ key, op: moved || message.tag === 'insert' ? 'insert' : 'update', version, rising, row: fresh, committedMs })
    return changes
  }

  /** As the store spells it. */
  #keyOf(texts: ColumnTexts | undefined, { columns }: ReplicatedRelation): string | undefined {
    const text = texts?.[this.keyColumn] ?? undefined
    if (text === undefined) return undefined
    return columns.find(({ name }) => name === this.keyColumn)?.typeOid === PADDED_TYPE ? unpadded(text) : text
  }

  /** Other keys than the row's own have no versions of this row. */
  #ownChanges(
    row: ColumnTexts | undefined,
    old: ColumnTexts | undefined,
    { columns }: ReplicatedRelation,
    committedMs: number,
  ): RowChange<unknown>[] {
    const keys = new Set<string>()
    for (const texts of [row, old]) {
      if (texts === undefined) continue
      const said = this.#called('keys', () => this.#options.keys!(rowOf(texts, columns)))
      for (const key of typeof said === 'string' ? [said] : (said ?? [])) {
        if (typeof key !== 'string') throw this.#unfit('keys', key)
        keys.add(key)
      }
    }
    return Array.from(keys, (key) => ({ key, op: 'update', version: undefined, rising: false, committedMs }))
  }

  #tagsOf(row: ColumnTexts | undefined, old: ColumnTexts | undefined, { columns }: ReplicatedRelation): readonly string[] {
    const { tags } = this.#options
    if (tags === undefined) return []
    const [now, before] = [row, old].map((texts) => (texts === undefined ? undefined : rowOf(texts, columns)))
    const said = this.#called('tags', () => tags((now ?? before)!, before)) ?? []
    if (!Array.isArray(said)) throw this.#unfit('tags', said)
    return said.filter((tag: unknown) => {
      if (typeof tag !== 'string') throw this.#unfit('tags', tag)
      // What no value can be tagged with has nothing to be deleted, and one row must not stop all that follow it.
      return tag !== '' && tag.isWellFormed() && Buffer.byteLength(tag) <= MAX_TAG_BYTES
    })
  }

  /** Tells its type alone: a row's values are nobody's business. */
  #unfit(name: string, said: unknown): ConfigurationError {
    return new ConfigurationError(
      `capture: what ${name} of table '${this.name}' returns: needs to be texts, but got: ${said === null ? 'null' : typeof said}`,
    )
  }

  #called<T>(name: string, work: () => T): T {
    try {
      return work()
    } catch (cause) {
      throw new ConfigurationError(`capture: ${name} of table '${this.name}': needs a function that does not throw`, { cause })
    }
  }

  #versionOf(texts: ColumnTexts | null | undefined): bigint | undefined {
    const text = this.versionColumn === undefined ? undefined : texts?.[this.versionColumn]
    return typeof text === 'string' && /^-?\d+$/.test(text) ? atLeastOne(BigInt(text)) : undefined
  }
}

/** A row that was there before it had a version is of version 1, as stores have it. */
function atLeastOne(version: bigint): bigint {
  return version < 1n ? 1n : version
}

/** A blank at the end of a char(n) is none of its text: so a store casts it. */
function unpadded(key: string): string {
  return key.replace(/ +$/, '')
}

function tableOptionsOf({ table, key, keyType, version, value, columns }: CapturedTableOptions) {
  return { table, key, keyType, version, value, columns }
}
