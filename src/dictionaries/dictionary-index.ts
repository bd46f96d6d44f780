/**
 * Which dictionaries a cache has, as its index on the nodes says: a record on each of them, under `rt:!dictionaries:<cache>`.
 *
 * Processes that train at once do not wait for one another: each puts its dictionary into the index, and of one generation that counts which was
 * made first, whoever looks. What is in the index is only ever joined, so that in whichever order nodes are read and written all come to the
 * same; the others' dictionaries stay in it, for entries may have been packed by them already. A dictionary is left out once no entry can be
 * alive that was packed by it.
 */
import { MAX_TOUCHED_LIFE_MS } from '../node/node.ts'

export interface IndexedDictionary {
  readonly id: number
  /** That of the latest counts. */
  readonly generation: number
  /** When it was made, ms since the epoch: of one generation the first counts. */
  readonly madeMs: number
  /** When values were packed by it last, ms since the epoch, give or take `RENEW_MS`. */
  readonly usedMs: number
}

/** By id. */
export type DictionaryIndex = ReadonlyMap<number, IndexedDictionary>

export const EMPTY_INDEX: DictionaryIndex = new Map()
/** So often, ms, does the index say anew that a dictionary is used. */
export const RENEW_MS = 3_600_000
/** How long after its last use a dictionary is kept, ms: the longest life of an entry, and two days for clocks and those who were slow to renew it. */
export const KEPT_MS = MAX_TOUCHED_LIFE_MS + 2 * 86_400_000
/** Of a record that is read: what nobody of us has made. */
const MOST_INDEXED = 64

/** Which values are to be packed by. */
export function currentOf(index: DictionaryIndex): IndexedDictionary | undefined {
  let current: IndexedDictionary | undefined
  for (const each of index.values()) if (current === undefined || counts(each, current)) current = each
  return current
}

export function joined(some: DictionaryIndex, others: DictionaryIndex): DictionaryIndex {
  const all = new Map(some)
  for (const [id, each] of others) {
    const known = all.get(id)
    // Two processes may have made the very same one.
    if (known === undefined) all.set(id, each)
    else {
      const generation = Math.max(known.generation, each.generation)
      all.set(id, { id, generation, madeMs: Math.min(known.madeMs, each.madeMs), usedMs: Math.max(known.usedMs, each.usedMs) })
    }
  }
  return all
}

/** Without those that no entry needs any more. */
export function needed(index: DictionaryIndex, nowMs: number): DictionaryIndex {
  return new Map(Array.from(index).filter(([, { usedMs }]) => usedMs > nowMs - KEPT_MS))
}

export function isSameIndex(a: DictionaryIndex, b: DictionaryIndex): boolean {
  return encodeIndex(a).equals(encodeIndex(b))
}

export function encodeIndex(index: DictionaryIndex): Buffer {
  return Buffer.from(JSON.stringify(Array.from(index.values()).toSorted((a, b) => a.id - b.id)))
}

/** What is no index of ours counts as an empty one. */
export function decodeIndex(bytes: Uint8Array | undefined): DictionaryIndex {
  if (bytes === undefined) return EMPTY_INDEX
  try {
    const read: unknown = JSON.parse(Buffer.from(bytes).toString())
    if (!Array.isArray(read)) return EMPTY_INDEX
    return new Map(read.filter(isIndexed).slice(0, MOST_INDEXED).map(fieldsOf))
  } catch {
    return EMPTY_INDEX
  }
}

function counts(one: IndexedDictionary, before: IndexedDictionary): boolean {
  if (one.generation !== before.generation) return one.generation > before.generation
  return one.madeMs === before.madeMs ? one.id < before.id : one.madeMs < before.madeMs
}

function isIndexed(read: Partial<IndexedDictionary> | null): read is IndexedDictionary {
  if (typeof read !== 'object' || read === null) return false
  const { id, generation, madeMs, usedMs } = read
  const isWhole = [id, generation, madeMs, usedMs].every((each) => Number.isSafeInteger(each) && each! > 0)
  return isWhole && id! <= 0xffff_ffff
}

function fieldsOf({ id, generation, madeMs, usedMs }: IndexedDictionary): [number, IndexedDictionary] {
  return [id, { id, generation, madeMs, usedMs }]
}
