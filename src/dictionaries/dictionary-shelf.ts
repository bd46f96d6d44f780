/**
 * One cache's dictionaries on the nodes: an index on each, and beside it each dictionary under its own name, `rt:!dictionary:<cache>:<id>`.
 *
 * They lie on every node, without an expiry, so that nodes which evict what expires keep them; where a node evicts whatever it likes, or has lost
 * what it held, the others have them still. What is read counts only if its bytes are those of its name.
 */
import { type Dictionary, dictionaryOf, MAX_DICTIONARY_BYTES } from '../codec/dictionary.ts'
import type { CacheNode } from '../node/node.ts'
import { type DictionaryIndex, decodeIndex, EMPTY_INDEX, encodeIndex, isSameIndex, joined, needed } from './dictionary-index.ts'

/** Of what nobody waits for, on one node. */
const CALL = { timeoutMs: 250 }
/** Of what a read waits for, on one node: two of them fit a read's own deadline. */
const READ_CALL = { timeoutMs: 100 }
/** So many nodes are asked for a dictionary first; the others only if these do not have it. */
const FIRST_ASKED = 3
/** A record that changes between reading and writing is read again so often, at most. */
const TRIES = 3

/** What became of looking for a dictionary. `absent`: all nodes have answered, and none has it. */
export type Fetched = Dictionary | 'absent' | 'unanswered'

export class DictionaryShelf {
  readonly #cache: string
  readonly #nodes: readonly CacheNode[]

  /** @param nodes changed in place as they come and go */
  constructor(cache: string, nodes: readonly CacheNode[]) {
    this.#cache = cache
    this.#nodes = nodes
  }

  /** What the nodes' indexes say together. Never rejects. @returns undefined when no node answers */
  async index(): Promise<DictionaryIndex | undefined> {
    const read = await Promise.all(this.#nodes.map(({ control }) => control.get(this.#indexName, CALL).then(decodeIndex, () => undefined)))
    const answered = read.filter((each) => each !== undefined)
    return answered.length === 0 ? undefined : answered.reduce(joined, EMPTY_INDEX)
  }

  /** Never rejects. @param first asked before the others */
  async fetch(id: number): Promise<Fetched> {
    const isAnswered = { value: true }
    const ask = async (nodes: readonly CacheNode[]): Promise<Dictionary | undefined> => {
      const read = await Promise.all(
        nodes.map(async ({ control }) => {
          try {
            return await control.get(this.#nameOf(id), READ_CALL)
          } catch {
            isAnswered.value = false
            return undefined
          }
        }),
      )
      return read.flatMap((bytes) => wholeOf(bytes, id) ?? [])[0]
    }
    const found = (await ask(this.#nodes.slice(0, FIRST_ASKED))) ?? (await ask(this.#nodes.slice(FIRST_ASKED)))
    return found ?? (isAnswered.value ? 'absent' : 'unanswered')
  }

  /** Gives the dictionary, and what is known of all, to every node that lacks it. Never rejects. @returns how many nodes have both */
  async put(dictionary: Dictionary, index: DictionaryIndex, nowMs: number): Promise<number> {
    const taken = await Promise.all(
      this.#nodes.map(async (node) => {
        try {
          return (await this.#give(node, dictionary)) && (await this.#join(node, index, nowMs))
        } catch {
          return false
        }
      }),
    )
    return taken.filter(Boolean).length
  }

  /** Removes dictionaries that no entry needs any more. Never rejects. */
  async drop(ids: readonly number[]): Promise<void> {
    const drops = ids.map((id) => ({ op: 'drop', key: `rt:!${this.#nameOf(id)}` }) as const)
    if (drops.length > 0) await Promise.all(this.#nodes.map((node) => node.apply(drops, CALL)))
  }

  get #indexName(): string {
    return `dictionaries:${this.#cache}`
  }

  #nameOf(id: number): string {
    return `dictionary:${this.#cache}:${id.toString(16).padStart(8, '0')}`
  }

  async #give({ control }: CacheNode, { id, bytes }: Dictionary): Promise<boolean> {
    const name = this.#nameOf(id)
    if (await control.compareAndSet(name, undefined, bytes, CALL)) return true
    const held = await control.get(name, CALL)
    // What lies there and is not it takes nobody further.
    return wholeOf(held, id) !== undefined || (await control.compareAndSet(name, held, bytes, CALL))
  }

  async #join({ control }: CacheNode, index: DictionaryIndex, nowMs: number): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const bytes = await control.get(this.#indexName, CALL)
      const held = decodeIndex(bytes)
      const next = needed(joined(held, index), nowMs)
      if (bytes !== undefined && isSameIndex(held, next)) return true
      if (await control.compareAndSet(this.#indexName, bytes, encodeIndex(next), CALL)) return true
    }
    return false
  }
}

/** @returns undefined for bytes that are not those of that name */
function wholeOf(bytes: Uint8Array | undefined, id: number): Dictionary | undefined {
  if (bytes === undefined || bytes.length > MAX_DICTIONARY_BYTES) return undefined
  // Kept for long: not a view of a reply.
  const dictionary = dictionaryOf(Uint8Array.prototype.slice.call(bytes))
  return dictionary.id === id ? dictionary : undefined
}
