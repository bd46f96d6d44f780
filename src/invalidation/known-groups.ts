/**
 * The last deletes that a process knows of one cache's groups: a bounded table, looked at by every read.
 *
 * What is not in it has to be asked for, so it is filled by `Groups` and emptied by what is heard. After a loss nothing in it may be used
 * any more, but it is remembered as a lower bound: a delete once known stays known, though every node that held its record come back empty.
 */
import type { Group } from './group-records.ts'

/** Tags and namespaces, each, that are held at most; the ones longest held go first. */
const MAX_HELD = 65_536

export class KnownGroups {
  readonly #maxHeld: number
  /** The last delete of the whole cache, ms. Public to read: it is all that a hit without tags and namespaces needs. */
  all: number | undefined
  readonly #tags = new Map<string, number>()
  readonly #namespaces = new Map<string, number>()
  /** What was held before the last losses, by `Group` as text. */
  readonly #doubted = new Map<string, number>()

  constructor(maxHeld: number = MAX_HELD) {
    this.#maxHeld = maxHeld
  }

  get size(): number {
    return this.#tags.size + this.#namespaces.size + (this.all === undefined ? 0 : 1)
  }

  /** The latest delete of the cache, the namespace and the tags, ms; undefined when one of them is not known. */
  latestOf(tags: readonly string[], namespace: string | undefined): number | undefined {
    let latest = this.all
    if (latest === undefined) return undefined
    if (namespace !== undefined) {
      const ms = this.#namespaces.get(namespace)
      if (ms === undefined) return undefined
      if (ms > latest) latest = ms
    }
    for (let at = 0; at < tags.length; at++) {
      const ms = this.#tags.get(tags[at]!)
      if (ms === undefined) return undefined
      if (ms > latest) latest = ms
    }
    return latest
  }

  get(group: Group): number | undefined {
    return group.kind === 'all' ? this.all : this.#mapOf(group.kind).get(group.name)
  }

  /** Keeps the later of this and what is held. */
  keep(group: Group, ms: number): void {
    const kept = Math.max(ms, this.get(group) ?? 0)
    this.#doubted.delete(nameOf(group))
    if (group.kind === 'all') this.all = kept
    else setBounded(this.#mapOf(group.kind), group.name, kept, this.#maxHeld)
  }

  forget(group: Group): void {
    if (group.kind === 'all') this.all = undefined
    else this.#mapOf(group.kind).delete(group.name)
  }

  /** Forgets all, but for what `doubtedOf` still says. */
  doubtAll(): void {
    if (this.all !== undefined) this.doubt({ kind: 'all' }, this.all)
    for (const [name, ms] of this.#tags) this.doubt({ kind: 'tag', name }, ms)
    for (const [name, ms] of this.#namespaces) this.doubt({ kind: 'ns', name }, ms)
    this.all = undefined
    this.#tags.clear()
    this.#namespaces.clear()
  }

  /** What was held of a group before a loss: it was deleted then, or later. */
  doubtedOf(group: Group): number | undefined {
    return this.#doubted.get(nameOf(group))
  }

  /** Remembers a delete without holding it. */
  doubt(group: Group, ms: number): void {
    setBounded(this.#doubted, nameOf(group), Math.max(ms, this.doubtedOf(group) ?? 0), this.#maxHeld)
  }

  #mapOf(kind: 'ns' | 'tag'): Map<string, number> {
    return kind === 'tag' ? this.#tags : this.#namespaces
  }
}

function nameOf(group: Group): string {
  return group.kind === 'all' ? 'all' : `${group.kind}:${group.name}`
}

function setBounded(map: Map<string, number>, name: string, ms: number, max: number): void {
  map.delete(name)
  if (map.size >= max) map.delete(map.keys().next().value!)
  map.set(name, ms)
}
