/**
 * A dictionary: what zstd may refer to beside the value that it packs, so that small values shrink as whole files do.
 *
 * It is named by its content, so that nobody can mistake one for another: an entry says by which it was packed, and what is read from a node
 * is the dictionary of that name or none.
 */
export interface Dictionary {
  /** 1 to 2^32 − 1: the beginning of its bytes' SHA-256. */
  readonly id: number
  readonly bytes: Uint8Array
}

/** Larger ones are neither made nor read. */
export const MAX_DICTIONARY_BYTES = 128 * 1024

export function dictionaryOf(bytes: Uint8Array): Dictionary {
  // Loaded with the first one, so that importing the library is quick.
  const { createHash } = process.getBuiltinModule('node:crypto')
  return { id: createHash('sha256').update(bytes).digest().readUInt32BE(0) || 1, bytes }
}

/** Where a cache's codec has its dictionaries from, and what it tells of its values. */
export interface Dictionaries {
  /** By what values are packed; undefined while there is none. */
  readonly current: Dictionary | undefined
  /** One that is known here. */
  find(id: number): Dictionary | undefined
  /** Has one fetched that is not known here. Never rejects. @returns undefined where it has just been asked for in vain */
  fetch(id: number): Promise<unknown> | undefined
  /** A value that was packed, or had better not be. Keeps a copy if it keeps any. @param packedBytes how long it became */
  packed(serialized: Uint8Array, packedBytes: number): void
}
