/**
 * Loads of one shard: each sent at once while there is room, gathered into common ones while there is none.
 *
 * An empty cache asks for a row here and a row there, thousands of times, and a statement for a hundred rows costs little more than one for
 * one. So what would wait in the guard's line waits for one place together: the busier the database, the fewer and larger the statements,
 * and what it can answer in a second grows just when it has to. (The batcher of the nodes does the same.) Each caller is told of its own
 * keys, and leaves when its own time is over; the statement goes on for the others, and is given up with the last.
 */
import { DeadlineError } from '../errors.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Loaded, StoreCall } from '../store/store.ts'
import type { ShardGuard, Verdict } from './shard-guard.ts'

export interface GatheredLoadsParts<V> {
  readonly guard: ShardGuard
  readonly load: (keys: readonly string[], call: StoreCall) => Promise<Loaded<V>>
  readonly judge: (loaded: Loaded<V>, keys: readonly string[]) => Verdict
  /** Calls that may wait. */
  readonly queue: number
}

/** Keys of one gathered load, unless one call has more. */
const MAX_KEYS = 500
/** Calls that wait, however few statements they will be. */
const MAX_WAITING = 65_536

interface Member<V> {
  readonly keys: readonly string[]
  readonly call: StoreCall | undefined
  readonly giveUp: () => void
  readonly answer: PromiseWithResolvers<Loaded<V>>
}

interface Gathering<V> {
  readonly members: Set<Member<V>>
  readonly abandoned: AbortController
  size: number
  isBegun: boolean
}

export class GatheredLoads<V> implements QueueTeller {
  readonly #parts: GatheredLoadsParts<V>
  /** Takes more calls. */
  #open: Gathering<V> | undefined
  #waiting = 0
  /** That wait; each will be one statement. */
  #gatherings = 0

  constructor(parts: GatheredLoadsParts<V>) {
    this.#parts = parts
  }

  /** As `ShardGuard.run`. */
  load(keys: readonly string[], call: StoreCall | undefined): Promise<Loaded<V>> {
    const { guard, load, judge, queue } = this.#parts
    if (call?.signal?.aborted === true) return Promise.reject(call.signal.reason)
    if (guard.hasRoom) {
      return guard.run(
        'read',
        (inner) => load(keys, inner),
        call,
        (loaded) => judge(loaded, keys),
      )
    }
    const open = this.#open
    const joins = open !== undefined && open.size + keys.length <= MAX_KEYS
    if (this.#waiting >= MAX_WAITING || (!joins && this.#gatherings >= queue)) {
      return Promise.reject(guard.refusal('full', `has ${this.#waiting} reads in line, for ${this.#gatherings} statements`))
    }
    if (joins) return this.#join(open, keys, call)
    const gathering: Gathering<V> = { members: new Set(), abandoned: new AbortController(), size: 0, isBegun: false }
    this.#open = gathering
    this.#gatherings++
    const answer = this.#join(gathering, keys, call)
    void this.#run(gathering, call?.withinMs)
    return answer
  }

  tellQueues(tell: TellQueue): void {
    tell('storeReadsWaiting', this.#waiting, MAX_WAITING)
  }

  #join(gathering: Gathering<V>, keys: readonly string[], call: StoreCall | undefined): Promise<Loaded<V>> {
    const member: Member<V> = { keys, call, giveUp: () => this.#giveUp(gathering, member), answer: Promise.withResolvers<Loaded<V>>() }
    gathering.members.add(member)
    gathering.size += keys.length
    this.#waiting++
    call?.signal?.addEventListener('abort', member.giveUp, { once: true })
    return member.answer.promise
  }

  async #run(gathering: Gathering<V>, withinMs: number | undefined): Promise<void> {
    const { guard, load, judge } = this.#parts
    const { members } = gathering
    const leftRunning = (work: Promise<unknown>): void => {
      for (const { call } of members) call?.leftRunning?.(work)
    }
    let keys: readonly string[] = []
    const begin = (inner: StoreCall): Promise<Loaded<V>> => {
      keys = [...new Set([...members].flatMap((member) => member.keys))]
      this.#close(gathering)
      return load(keys, inner)
    }
    try {
      const call = { signal: gathering.abandoned.signal, withinMs, leftRunning }
      const loaded = await guard.run('read', begin, call, (answer) => judge(answer, keys))
      for (const member of members) this.#part(member).resolve(partOf(loaded, member.keys))
    } catch (thrown) {
      for (const member of members) this.#part(member).reject(thrown)
    } finally {
      this.#close(gathering)
    }
  }

  /** Nobody joins it any more, and those aboard wait no longer in line. */
  #close(gathering: Gathering<V>): void {
    if (gathering.isBegun) return
    gathering.isBegun = true
    this.#gatherings--
    this.#waiting -= gathering.members.size
    if (this.#open === gathering) this.#open = undefined
  }

  #part({ call, giveUp, answer }: Member<V>): PromiseWithResolvers<Loaded<V>> {
    call?.signal?.removeEventListener('abort', giveUp)
    return answer
  }

  #giveUp(gathering: Gathering<V>, member: Member<V>): void {
    const { reason } = member.call!.signal!
    const { members, isBegun } = gathering
    const isShed = !isBegun && reason instanceof DeadlineError
    members.delete(member)
    gathering.size -= member.keys.length
    if (!isBegun) this.#waiting--
    const { guard } = this.#parts
    member.answer.reject(isShed ? guard.refusal('late', 'had no place for a call before its deadline', { cause: reason }) : reason)
    if (members.size > 0) return
    this.#close(gathering)
    gathering.abandoned.abort(reason)
  }
}

function partOf<V>({ rows, failed }: Loaded<V>, keys: readonly string[]): Loaded<V> {
  const only = <T>(all: ReadonlyMap<string, T> | undefined): Map<string, T> =>
    new Map(keys.flatMap((key) => (all?.has(key) === true ? [[key, all.get(key)!]] : [])))
  return { rows: only(rows), failed: only(failed) }
}
