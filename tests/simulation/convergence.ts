/**
 * What a fleet comes to when nothing fails any more: all owners of a key hold the same, and nothing was taken away to make it so.
 *
 * Owners that missed changes are mended by reads: one client reads every key, first from a quorum, then twice from all owners, as a session
 * does that has forgotten what it wrote. After that each owner's entry is the same to the byte, but for the lease, which is one node's own, and
 * for what a load took, by which two loads of one row in one millisecond differ.
 * An owner may hold nothing only where the rule of `read-repair.ts` leaves it so: what another one holds is over by the fleet's time,
 * or older than a copy to an owner without a tombstone may be (an absence that took the place of nothing has no age, and counts as old).
 */
import type { Cache } from '../../src/caches/cache.ts'
import { freshUntilOf, graceOf, kindOf, OFFSET, supersedes, versionOf, withLease } from '../../src/codec/envelope.ts'
import { MAX_WRITES, type Session } from '../../src/session.ts'
import { type Rule, valueIdOf, name as valueName } from './checks.ts'
import { CACHES, type CacheKind, type CacheName } from './operations.ts'
import { describe } from './owner-record.ts'
import type { Value } from './truth.ts'
import { type Client, World } from './world.ts'

/** What a load and its fill take in a network that is well, ms. */
const PASS_MS = 100
/** From which age on an entry is not copied to an owner that holds nothing, see `read-repair.ts`, ms. */
const COPIED_WITHIN_MS = 150_000
/** Below the milliseconds of a version. */
const VERSION_MS_SHIFT = 19n
const NO_LEASE = { token: 0, until: 0 }

interface Key {
  readonly name: CacheName
  readonly kind: CacheKind
  readonly key: string
  readonly wire: string
}

export class Convergence {
  readonly #world: World
  readonly #reader: Client
  readonly #keys: readonly Key[]
  /** When the last pass began: an owner's own copy may have run out since. */
  #readMs = 0

  constructor(world: World) {
    this.#world = world
    this.#reader = world.members[0]!
    this.#keys = (Object.entries(CACHES) as [CacheName, CacheKind][]).flatMap(([name, kind]) =>
      world.keysOf(name).map((key) => ({ name, kind, key, wire: World.wireKey(name, key) })),
    )
  }

  /** Reads bring all owners together. @param isOver old copies are over: what is held as a value is the truth */
  async checkReads(isOver: boolean): Promise<void> {
    await this.#each((cache, { key }) => cache.get(key, { reads: 'quorum' }))
    for (let pass = 0; pass < 2; pass++) {
      const session = this.#careful()
      await this.#each((cache, { key }) => cache.get(key, { session }))
    }
    await this.#world.quiet()
    for (const each of this.#keys) this.#compare(each, isOver)
  }

  /** A write of each key reaches all owners, whatever they hold. */
  async checkWrites(): Promise<void> {
    const written = new Map<string, number>()
    await this.#each((cache, { name, key, wire }) => {
      if (name === 'reader') return cache.get(key)
      const value = this.#world.truth.make(wire)
      written.set(wire, value.id)
      return cache.set(key, value)
    })
    for (const each of this.#keys) {
      const isHeld = each.kind.order !== 'clocks' && each.name !== 'around'
      this.#compare(each, true, isHeld ? written.get(each.wire) : undefined)
    }
  }

  async #each(work: (cache: Cache<Value>, key: Key) => Promise<unknown>): Promise<void> {
    this.#readMs = this.#world.time.nowMs
    let ended = 0
    for (const key of this.#keys) {
      const call = work(this.#reader.caches.get(key.name)!, key).finally(() => ended++)
      call.catch((error) => this.#violate('unhealed', key.wire, `${this.#reader.name}: ${error}`))
    }
    await this.#world.time.advance(PASS_MS)
    if (ended < this.#keys.length) this.#violate('hung', '', `${this.#keys.length - ended} calls have not ended in ${PASS_MS} ms`)
  }

  /** A session that has written more than it can remember, just now: its reads ask all owners. */
  #careful(): Session {
    const session = this.#reader.tier.session()
    const version = BigInt(this.#reader.clock.now()) << VERSION_MS_SHIFT
    for (let nth = 0; nth <= MAX_WRITES; nth++) session.wrote(`elsewhere${nth}`, version)
    return session
  }

  /** @param written the value that all must hold; undefined: whatever they hold together */
  #compare({ kind, wire }: Key, oldIsOver: boolean, written?: number): void {
    const { servers, truth } = this.#world
    const owners = this.#world.ownersOf(wire)
    const held = owners.map((owner) => owner.held(wire))
    const said = owners.map((owner, at) => `${owner.id}: ${held[at] === undefined ? 'nothing' : describe(held[at])}`).join(', ')
    const stray = servers.find((server) => !owners.includes(server) && server.held(wire) !== undefined)
    if (stray !== undefined) this.#violate('apart', wire, `${stray.id} holds what it does not own`)
    const newest = held.reduce((a, b) => (a === undefined || (b !== undefined && supersedes(b, a)) ? b : a), undefined)
    if (newest === undefined) {
      if (written !== undefined) this.#violate('apart', wire, `no owner holds ${valueName(written)}, which was written`)
      return
    }
    // The servers' time, by which tiers go, whatever the clocks of their machines say.
    const nowMs = this.#reader.clock.now() - this.#reader.clock.aheadMs
    const isOver = freshUntilOf(newest) + graceOf(newest) <= nowMs && kindOf(newest) !== 'tombstone'
    const mayLack = isOver || Number(versionOf(newest) >> VERSION_MS_SHIFT) + COPIED_WITHIN_MS <= nowMs
    const isSame = (bytes: Uint8Array | undefined, at: number): boolean =>
      bytes === undefined
        ? mayLack || owners[at]!.record.lostAtMs(wire) >= this.#readMs
        : Buffer.compare(comparable(bytes), comparable(newest)) === 0
    if (!held.every(isSame)) this.#violate('apart', wire, `the owners differ: ${said}`)
    const id = valueIdOf(newest)
    const must = written ?? (oldIsOver && kind.order !== 'writers' && kindOf(newest) === 'value' ? (truth.current(wire).id ?? null) : id)
    if (id !== (must ?? undefined))
      this.#violate('apart', wire, `the owners hold ${valueName(id)}, and ${valueName(must)} is true: ${said}`)
  }

  #violate(rule: Rule, key: string, what: string): void {
    const { violations, time } = this.#world
    violations.push({ rule, atMs: time.nowMs, key, what })
  }
}

/** An entry without what owners may hold different of. */
function comparable(bytes: Uint8Array): Buffer {
  return withLease(bytes, NO_LEASE).fill(0, OFFSET.loadCost, OFFSET.loadCost + 2)
}
