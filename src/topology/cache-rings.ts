/**
 * Caches that have rings of their own, as the fleet knows them: a record on each node, under `rt:!topology-caches`.
 *
 * Who changes the ring has to know where the keys of every cache lie, of those too that it does not have itself: by the tier's own ring they
 * would be carried to nodes that nobody asks, and swept from those that own them. So a process that makes such a cache says so on all
 * nodes, and goes on seeing to it that it stands there; who changes the ring reads what all nodes say. Of two sayings of one cache the later
 * holds. A ring that was handed in as an object cannot be described: then only a process that has the cache can change the ring.
 */
import type { Clock } from '../clock.ts'
import type { CacheNode } from '../node/node.ts'

const RECORD_NAME = 'topology-caches'
/** Of one look at, or one write on, one node. */
const CALL = { timeoutMs: 250 }
/** A record that changes between reading and writing is read again so often, at most. */
const TRIES = 3

/** Where a cache's keys lie. All undefined, and not `placed`: by the tier's own ring. */
export interface CacheRing {
  /** Default: the tier's. */
  readonly replicas?: number | undefined
  /** Ids. Default: all. */
  readonly nodes?: readonly string[] | undefined
  /** By a placement of its own. */
  readonly placed: boolean
  /** Its keys lie on the nodes as they are. */
  readonly plain: boolean
}

interface Said extends CacheRing {
  /** Since when, ms since the epoch. */
  readonly sinceMs: number
}

/** By cache. */
type Sayings = ReadonlyMap<string, Said>

export class CacheRings {
  readonly #clock: Clock
  readonly #nodes: readonly CacheNode[]
  readonly #own = new Map<string, Said>()
  #known: Sayings = new Map()
  #hasLooked = false

  /** @param nodes changed in place as they come and go */
  constructor(clock: Clock, nodes: readonly CacheNode[]) {
    this.#clock = clock
    this.#nodes = nodes
  }

  /** Of caches of other processes, as far as they have been read. */
  ofOthers(): ReadonlyMap<string, CacheRing> {
    return new Map(Array.from(this.#known).filter(([cache]) => !this.#own.has(cache)))
  }

  /** A cache of this process. It is told to the nodes if it lies otherwise than by the tier's own ring, or is said to. */
  add(cache: string, ring: CacheRing): void {
    const known = this.#known.get(cache)
    const isUsual = isSame(ring, { placed: false, plain: ring.plain })
    const isSaid = known === undefined ? isUsual : isSame(ring, known)
    // Later than what it contradicts, by whichever clock that was said.
    const sinceMs = isSaid ? (known?.sinceMs ?? 0) : Math.max(this.#clock.now(), (known?.sinceMs ?? 0) + 1)
    this.#own.set(cache, { ...ring, sinceMs })
    if (!isUsual || !isSaid) void this.look(true)
  }

  /**
   * Reads what the nodes say, if there is need to, and gives it to those that lack some of it. Never rejects.
   * @param isNeeded also where this process has no such cache
   */
  async look(isNeeded: boolean): Promise<void> {
    const own = new Map(Array.from(this.#own).filter(([, { sinceMs }]) => sinceMs > 0))
    if (!isNeeded && this.#hasLooked && own.size === 0) return
    this.#known = merged(this.#known, own)
    const held = await Promise.all(
      this.#nodes.map(async (node) => ({ node, bytes: await node.control.get(RECORD_NAME, CALL).catch(() => null) })),
    )
    for (const { bytes } of held) if (bytes !== null) this.#known = merged(this.#known, decode(bytes))
    if (held.some(({ bytes }) => bytes !== null)) this.#hasLooked = true
    await Promise.all(held.map(({ node, bytes }) => (bytes === null ? undefined : this.#give(node, bytes))))
  }

  async #give({ control }: CacheNode, held: Uint8Array | undefined): Promise<void> {
    try {
      for (let tries = 0, bytes = held; tries < TRIES; tries++) {
        const next = merged(decode(bytes), this.#known)
        if (encode(next).equals(encode(decode(bytes)))) return
        if (await control.compareAndSet(RECORD_NAME, bytes, encode(next), CALL)) return
        bytes = await control.get(RECORD_NAME, CALL)
      }
    } catch {
      // It is given it with the next look.
    }
  }
}

function merged(some: Sayings, others: Sayings): Sayings {
  const all = new Map(some)
  for (const [cache, said] of others) if (said.sinceMs > (all.get(cache)?.sinceMs ?? 0)) all.set(cache, said)
  return all
}

function isSame(a: CacheRing, b: CacheRing): boolean {
  return a.replicas === b.replicas && a.placed === b.placed && a.plain === b.plain && String(a.nodes) === String(b.nodes)
}

function encode(sayings: Sayings): Buffer {
  return Buffer.from(JSON.stringify([...sayings].sort(([a], [b]) => (a < b ? -1 : 1))))
}

/** What is no saying of ours counts as none. */
function decode(bytes: Uint8Array | undefined): Sayings {
  if (bytes === undefined) return new Map()
  try {
    const read = JSON.parse(Buffer.from(bytes).toString()) as readonly (readonly [string, Partial<Said> | null])[]
    return new Map(
      read.flatMap(([cache, said]): [string, Said][] => (typeof cache === 'string' && isSaid(said) ? [[cache, fieldsOf(said)]] : [])),
    )
  } catch {
    return new Map()
  }
}

function isSaid(said: Partial<Said> | null): said is Said {
  if (typeof said !== 'object' || said === null) return false
  const { replicas, nodes, placed, plain, sinceMs } = said
  const counts = replicas === undefined || (Number.isSafeInteger(replicas) && replicas > 0)
  const names = nodes === undefined || (Array.isArray(nodes) && nodes.every((node) => typeof node === 'string'))
  return counts && names && typeof placed === 'boolean' && typeof plain === 'boolean' && Number.isFinite(sinceMs)
}

function fieldsOf({ replicas, nodes, placed, plain, sinceMs }: Said): Said {
  return { replicas, nodes, placed, plain, sinceMs }
}
