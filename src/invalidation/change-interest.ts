/**
 * What a subscription is about, checked: keys, tags, or the whole cache.
 *
 * Of groups it is told what its entries may belong to. Which namespace a key is in shows in the key; which tags an entry has, only the entry
 * knows. So whoever names keys and no tags is told of every tag.
 */
import type { KeyCodec } from '../codec/key.ts'
import { ConfigurationError } from '../errors.ts'
import { checkedTags, knownOptions } from '../options.ts'
import type { GroupRecords } from './group-records.ts'

/** At least one of them; those given add up. */
export interface SubscribeOptions {
  /** Told of each change of these entries, of their namespaces and the cache being cleared, and of tags (see `tags`). At most 10,000. */
  readonly keys?: readonly string[] | undefined
  /** Told when one of these tags is deleted, and when the cache is cleared. Default: no tag; with `keys`, every tag. At most 10,000. */
  readonly tags?: readonly string[] | undefined
  /** Told of all changes of the cache. */
  readonly all?: true | undefined
}

/** What a listener of changes wants to be told; undefined: nothing of the kind. */
export interface Interest {
  /** By name on the nodes. */
  readonly entries: 'all' | ReadonlyMap<string, string> | undefined
  readonly tags: 'all' | ReadonlySet<string> | undefined
  readonly namespaces: 'all' | ReadonlySet<string> | undefined
  readonly cleared: boolean
  readonly missed: boolean
}

const MAX_NAMED = 10_000

interface Naming {
  readonly what: string
  readonly keys: KeyCodec
  readonly records: GroupRecords
  readonly separator: string | undefined
}

/** @throws ConfigurationError for what cannot be keys or tags of the cache, or nothing at all */
export function checkedInterest(options: SubscribeOptions, naming: Naming): Interest {
  const { what, keys, separator } = naming
  const records: GroupRecords = naming.records
  knownOptions(options, what, ['keys', 'tags', 'all'])
  const named = options.keys === undefined ? undefined : checkedKeys(options.keys, `${what}: keys`)
  const tags = options.tags === undefined ? undefined : bounded(checkedTags(options.tags, `${what}: tags`), `${what}: tags`)
  for (const tag of tags ?? []) records.checkTag(tag)
  if (options.all !== undefined && options.all !== true) throw ConfigurationError.of(`${what}: all`, 'true, or to be left out', options.all)
  if (options.all === true) return { entries: 'all', tags: 'all', namespaces: 'all', cleared: true, missed: true }
  if (named === undefined && tags === undefined) throw ConfigurationError.of(what, 'keys, tags or all: true', options)
  return {
    entries: named === undefined ? undefined : new Map(named.map((key) => [keys.encode(key), key])),
    tags: tags === undefined ? 'all' : new Set(tags),
    namespaces: named === undefined || separator === undefined ? undefined : namespacesOf(named, separator),
    cleared: true,
    missed: true,
  }
}

function checkedKeys(keys: readonly string[], what: string): readonly string[] {
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) throw ConfigurationError.of(what, 'an array of texts', keys)
  return bounded(keys, what)
}

function bounded(names: readonly string[], what: string): readonly string[] {
  if (names.length >= 1 && names.length <= MAX_NAMED) return names
  throw ConfigurationError.of(what, `1 to ${MAX_NAMED} of them`, names.length)
}

function namespacesOf(keys: readonly string[], separator: string): ReadonlySet<string> {
  const names = keys.map((key) => key.split(separator, 1)[0]!)
  return new Set(names.filter((name, at) => name !== keys[at]))
}
