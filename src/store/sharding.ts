/**
 * Which shard a key lies in: the partitioning of the database, which has nothing to do with the ring's.
 *
 * A key hashes into one of a fixed number of slots, and each slot is assigned to a shard. The slot is XXH64 of the key's UTF-8 under the
 * seed 0x72696e677461696c ("ringtail" in ASCII), its upper 53 bits modulo the number of slots. Slots are assigned evenly, in runs: of S slots
 * and N shards, slot s is shard ⌊s·N/S⌋. None of this changes between releases, for rows placed by it must stay found. To add a shard, hand
 * in the assignment itself (`slots: [0, 0, 2, 1, …]`) and move the rows of the slots that change.
 */
import { ConfigurationError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { prepareXxh64, xxh64 } from '../ring/xxh64.ts'
import { optionalFunction } from './checked-options.ts'

export interface ShardingOptions {
  /** Your own partitioning, for rows that already lie somewhere: the index of the shard. It must be pure. */
  readonly shardOf?: ((key: string) => number) | undefined
  /** The number of slots (default 1,024, at most 65,536), or the shard of each slot. */
  readonly slots?: number | readonly number[] | undefined
}

const SEED = 0x72696e677461696cn
const DEFAULT_SLOTS = 1_024
const MOST_SLOTS = 65_536

export interface Sharding {
  /** Resolves once `shardOf` may be asked. */
  prepare(): Promise<void>
  /** @throws ConfigurationError when a user's function names no shard */
  shardOf(key: string): number
}

export function sharding(options: ShardingOptions, shards: number, what: string): Sharding {
  const shardOf = optionalFunction(options.shardOf, `${what}: shardOf`)
  if (shardOf === undefined) return bySlots(options.slots ?? DEFAULT_SLOTS, shards, what)
  if (options.slots !== undefined) throw ConfigurationError.of(what, 'either shardOf or slots', 'both')
  return {
    prepare: () => Promise.resolve(),
    shardOf: (key) => wholeNumber(shardOf(key), `${what}: shardOf's answer`, 0, shards - 1),
  }
}

function bySlots(slots: number | readonly number[], shards: number, what: string): Sharding {
  if (typeof slots !== 'number' && !Array.isArray(slots))
    throw ConfigurationError.of(`${what}: slots`, 'the number of slots, or an array: the shard of each slot', slots)
  const assignment = typeof slots === 'number' ? evenly(wholeNumber(slots, `${what}: slots`, shards, MOST_SLOTS), shards) : [...slots]
  wholeNumber(assignment.length, `${what}: the number of slots`, 1, MOST_SLOTS)
  for (const shard of assignment) wholeNumber(shard, `${what}: the shard of a slot`, 0, shards - 1)
  return {
    prepare: prepareXxh64,
    shardOf: (key) => assignment[xxh64(key, SEED) % assignment.length]!,
  }
}

function evenly(slots: number, shards: number): number[] {
  return Array.from({ length: slots }, (_, slot) => Math.floor((slot * shards) / slots))
}
