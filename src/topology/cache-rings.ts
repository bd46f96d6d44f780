/**
 * Caches that have rings of their own, as the fleet knows them: a record on each node, under `rt:!topology-caches`.
 *
 * Who changes the ring has to know where the keys of every cache lie, of those too that it does not have itself: by the tier's own ring they
 * would be carried to nodes that nobody asks, and swept from those that own them. So a process that makes such a cache says so on all
 * nodes, and goes on seeing to it that it stands there; who changes the ring reads what all nodes say. Of two sayings of one cache the later
 * holds. A ring that was handed in as an object cannot be described: then only a process that has the cache can change the ring.
 *
 * Those that have the cache confirm it now and then, so that a saying ends with the cache: what nobody has confirmed for a day is dropped.
 */
import type { Clock, Random } from '../clock.ts'
import type { CacheNode } from '../node/node.ts'

const RECORD_NAME = 'topology-caches'
/** Of one look at, or one write on, one node. */
const CALL = { timeoutMs: 250 }
/** A record that changes between reading and writing is read again so often, at most. */
const TRIES = 3
/** After a saying was confirmed last it is again, by whichever process that has the cache is first: after so long, ms, to twice that. */
const CONFIRM_AFTER_MS = 3_600_000
/** A saying that was not confirmed for so long is dropped, ms. */
const ENDS_AFTER_MS = 24 * 3_600_000

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
  /** When a process that has the cache said so last, ms since the epoch. Default, in a record: `sinceMs`. */
  readonly confirmedMs: number
}

type Recorded = Omit<Said, 'confirmedMs'> & Partial<Pick<Said, 'confirmedMs'>>

/** By cache. */
type Sayings = ReadonlyMap<string, Said>

export class CacheRings {
  readonly #clock: Clock
  readonly #nodes: readonly CacheNode[]
  readonly #confirmAfterMs: number
  readonly #own = new Map<string, Said>()
  #known: Sayings = new Map()
  #hasLooked = false

  /** @param nodes changed in place as they come and go */
  constructor(clock: Clock, random: Random, nodes: readonly CacheNode[]) {
    this.#clock = clock
    this.#nodes = nodes
    this.#confirmAfterMs = CONFIRM_AFTER_MS * (1 + random())
  }

  /** Of caches of other processes, as far as they have been read. */
  ofOthers(): ReadonlyMap<string, CacheRing> {
    return new Map(Array.from(this.#known).filter(([cache]) => !this.#own.has(cache)))
  }

  /** A cache of this process. It is told to the nodes if it lies otherwise than by the tier's own ring, or was said to before. */
  add(cache: string, ring: CacheRing): void {
    const known = this.#known.get(cache)
    const nowMs = this.#clock.now()
    const isKnown = known !== undefined && isSame(ring, known)
    // Later than what it contradicts, by whichever clock that was said.
    const sinceMs = isKnown ? known.sinceMs : Math.max(nowMs, (known?.sinceMs ?? 0) + 1)
    this.#own.set(cache, { ...ring, sinceMs, confirmedMs: nowMs })
    if (this.#toSay().size > 0) void this.look(true)
  }

  /**
   * Reads what the nodes say, if there is need to, and gives it to those that lack some of it. Never rejects.
   * @param isNeeded also where this process has no such cache
   */
  async look(isNeeded: boolean): Promise<void> {
    if (!isNeeded && this.#hasLooked && this.#toSay().size === 0) return
    const held = await Promise.all(
      this.#nodes.map(async (node) => ({ node, bytes: await node.control.get(RECORD_NAME, CALL).catch(() => null) })),
    )
    // What has ended goes first, or it would hide what is earlier and lasts.
    this.#known = this.#lasting(this.#known)
    for (const { bytes } of held) if (bytes !== null) this.#known = merged(this.#known, this.#lasting(decode(bytes)))
    if (held.some(({ bytes }) => bytes !== null)) this.#hasLooked = true
    this.#known = merged(this.#known, this.#toSay())
    await Promise.all(held.map(({ node, bytes }) => (bytes === null ? undefined : this.#give(node, bytes))))
  }

  /** Own caches that lie otherwise than by the tier's own ring, or are said to. */
  #toSay(): Sayings {
    const nowMs = this.#clock.now()
    const toSay = new Map<string, Said>()
    for (const [cache, own] of this.#own) {
      const known = this.#known.get(cache)
      if (isUsual(own) && (known === undefined || isSame(own, known))) continue
      if (known === undefined || !isSame(own, known)) toSay.set(cache, { ...own, confirmedMs: nowMs })
      else toSay.set(cache, nowMs - known.confirmedMs < this.#confirmAfterMs ? known : { ...known, confirmedMs: nowMs })
    }
    return toSay
  }

  #lasting(sayings: Sayings): Sayings {
    const endedMs = this.#clock.now() - ENDS_AFTER_MS
    return new Map(Array.from(sayings).filter(([, { confirmedMs }]) => confirmedMs > endedMs))
  }

  async #give({ control }: CacheNode, held: Uint8Array | undefined): Promise<void> {
    try {
      for (let tries = 0, bytes = held; tries < TRIES; tries++) {
        const next = merged(this.#lasting(decode(bytes)), this.#known)
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
  for (const [cache, said] of others) if (isLater(said, all.get(cache))) all.set(cache, said)
  return all
}

function isLater(said: Said, other: Said | undefined): boolean {
  if (other === undefined) return true
  return said.sinceMs === other.sinceMs ? said.confirmedMs > other.confirmedMs : said.sinceMs > other.sinceMs
}

/** By the tier's own ring. */
function isUsual(ring: CacheRing): boolean {
  return isSame(ring, { placed: false, plain: ring.plain })
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

function isSaid(said: Partial<Said> | null): said is Recorded {
  if (typeof said !== 'object' || said === null) return false
  const { replicas, nodes, placed, plain, sinceMs, confirmedMs } = said
  const counts = replicas === undefined || (Number.isSafeInteger(replicas) && replicas > 0)
  const names = nodes === undefined || (Array.isArray(nodes) && nodes.every((node) => typeof node === 'string'))
  const dates = Number.isFinite(sinceMs) && (confirmedMs === undefined || Number.isFinite(confirmedMs))
  return counts && names && dates && typeof placed === 'boolean' && typeof plain === 'boolean'
}

function fieldsOf({ replicas, nodes, placed, plain, sinceMs, confirmedMs = sinceMs }: Recorded): Said {
  return { replicas, nodes, placed, plain, sinceMs, confirmedMs }
}
