/**
 * 32 bits of a key, for tables that may confuse two keys at a small price.
 *
 * FNV-1a over UTF-16 code units, then the finish of MurmurHash3, without which the low bits, which tables use, would follow the last
 * characters alone. Not for placement (that is `ring/`'s) and not for secrets: whoever chooses keys can make two collide, and the tables
 * that use it are such that a collision costs a copy, never a wrong answer.
 */

/** @returns a 32-bit integer, possibly negative */
export function keyHash(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
