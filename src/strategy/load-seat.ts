/**
 * One key's place in a load: who asked, what was seen under the key, and what those who wait for it are told.
 *
 * Whoever joins before the load has begun shares its result as it comes. Whoever joins later may have come after a write that the load did
 * not see; so it is told the result only once the nodes have taken the fill, which they do only if nobody wrote or deleted meanwhile. Else
 * it is told to look again, as is whoever joins when the fill has left: the first owner may have taken it, and a delete after it, while the
 * others have yet to say so.
 */
import type { Stamp, Version } from '../entry.ts'
import type { Found, KeyspaceCall, Lease, PutTimes } from '../keyspaces/keyspace.ts'
import type { Loader } from './strategy.ts'

/** What a reader wants loaded. */
export interface LoadAsk<V> {
  readonly key: string
  /** What the look-up saw. */
  readonly seen: Stamp
  /** The value that may still be served; undefined where there is none. */
  readonly stale?: V | undefined
  /**
   * Those whom the read asked could not say what lies there, so that what one of them says later is no answer: it may be the one that was cut
   * off.
   */
  readonly unsaid?: boolean | undefined
  /** Whom the read asked, who are asked again where a load turns out to have been overtaken. Default: the cluster's own. */
  readonly read?: KeyspaceCall['read']
  /** Nobody waits: where another process loads already, nothing is to be done. */
  readonly behind?: boolean | undefined
  /** The load must begin now, whoever loads already. */
  readonly force?: boolean | undefined
  /** An entry found on the nodes instead is an answer only from this version on. */
  readonly atLeast?: Version | undefined
  readonly loader?: Loader<V> | undefined
  readonly times?: PutTimes | undefined
  readonly tags?: readonly string[] | undefined
}

/** What a load came to. */
export interface Loaded<V> {
  /** Undefined: there is none. */
  readonly value: V | undefined
  /** Where another had loaded it, and it was found on the nodes. */
  readonly found?: Found<V> | undefined
  /** Of what was found, or of the entry that was filled. Undefined: of what was loaded just now for those who were there before. */
  readonly version?: Version | undefined
}

/** `undefined`: not known by this load; look again. */
type Answer<V> = Loaded<V> | undefined

export class LoadSeat<V> {
  readonly ask: LoadAsk<V>
  /** What lies under the key: at first as the reader saw it, then as the lease found it. */
  seen: Stamp
  force: boolean
  /** Whether somebody waits. */
  waited: boolean
  lease: Lease | undefined
  /** Those who were there before the nodes were last asked, or before the load began. */
  #early: PromiseWithResolvers<Answer<V>>[] = []
  /** Those who came while the nodes were being asked: what the nodes say was true before they came, a load that follows is not. */
  #meanwhile: PromiseWithResolvers<Answer<V>>[] = []
  /** Those who came when the load had begun: what was written before they came it may not have seen. */
  readonly #late: PromiseWithResolvers<Answer<V>>[] = []
  /** Those who came when the fill had left: what was written before they came may have come after it. */
  readonly #last: PromiseWithResolvers<Answer<V>>[] = []
  readonly #landed = Promise.withResolvers<void>()
  #phase: 'boarding' | 'asking' | 'loading' | 'filling' = 'boarding'

  constructor(ask: LoadAsk<V>) {
    this.ask = ask
    this.seen = ask.seen
    this.force = ask.force === true
    this.waited = ask.behind !== true
  }

  get key(): string {
    return this.ask.key
  }

  join(ask: LoadAsk<V>): Promise<Answer<V>> {
    if ((this.#phase === 'loading' || this.#phase === 'filling') && ask.behind === true) return Promise.resolve(undefined)
    if (ask.behind !== true) this.waited = true
    if (ask.force === true) this.force = true
    const waiter = Promise.withResolvers<Answer<V>>()
    const waiters = { boarding: this.#early, asking: this.#meanwhile, loading: this.#late, filling: this.#last }[this.#phase]
    waiters.push(waiter)
    return demanded(waiter.promise, ask)
  }

  /** Resolves when it is over: loaded and filled, or failed. */
  get landed(): Promise<void> {
    return this.#landed.promise
  }

  /** The nodes are asked for a lease, or for what its holder has brought. */
  asking(): void {
    this.#board()
    this.#phase = 'asking'
  }

  /** The load begins. */
  loading(): void {
    this.#board()
    this.#phase = 'loading'
  }

  /** What was loaded leaves for the nodes. */
  filling(): void {
    this.#phase = 'filling'
  }

  /** The load has come: those who were there before it began have their answer. */
  answer(loaded: Answer<V>): void {
    for (const waiter of this.#early) waiter.resolve(loaded)
    this.#early = []
  }

  /** It is over. @param stands whether nothing was written under the key from the load's beginning until the fill was taken */
  verify(loaded: Answer<V>, stands: boolean): void {
    this.answer(loaded)
    for (const waiter of [...this.#meanwhile, ...this.#late]) waiter.resolve(stands ? loaded : undefined)
    for (const waiter of this.#last) waiter.resolve(undefined)
    this.#landed.resolve()
  }

  fail(error: unknown): void {
    for (const waiter of [...this.#early, ...this.#meanwhile, ...this.#late, ...this.#last]) waiter.reject(error)
    this.#landed.resolve()
  }

  #board(): void {
    this.#early.push(...this.#meanwhile)
    this.#meanwhile = []
  }
}

/**
 * What another has brought, or what this load brought to those who came later, may be older than what the reader's session wrote; and what
 * one owner says is no answer to a reader whom enough owners could not tell.
 */
function demanded<V>(answer: Promise<Answer<V>>, { atLeast = 0n, unsaid = false }: LoadAsk<V>): Promise<Answer<V>> {
  if (atLeast === 0n && !unsaid) return answer
  return answer.then((loaded) => {
    if (unsaid && loaded?.found !== undefined) return undefined
    return loaded?.version !== undefined && loaded.version < atLeast ? undefined : loaded
  })
}
