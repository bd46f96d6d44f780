/**
 * One change on its way to all owners of its key: the hot path of writes, hence one object that hears every owner, and no promise.
 *
 * What is acknowledged, refused and missed is decided as `replication.ts` says it.
 */
import type { Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'
import type { CacheNode, Change, NodeCall, Status, StatusReceiver } from '../node/node.ts'
import type { Replicated, WriteLevel } from './cluster.ts'
import { APPLIED, type MissedListener, neededOf, refused, unreached } from './replication.ts'

export class SingleReplication implements StatusReceiver {
  readonly #owners: readonly CacheNode[]
  readonly #needed: number
  readonly #listener: MissedListener
  readonly #settle: (replicated: Replicated) => void
  #held = 0
  #failed = 0
  /** Those that did not take it; undefined: none yet. */
  #lacking: CacheNode[] | undefined
  #isUnknown = false
  /** Whether any owner that took it will do, rather than the first among them. */
  readonly #anyWillDo: boolean
  #primaryHeard = false
  #newest: Version | undefined
  #byPrimary = false
  #refusals = 0
  #decided = false
  #change: Change | undefined

  constructor(owners: readonly CacheNode[], level: WriteLevel, listener: MissedListener, settle: (replicated: Replicated) => void) {
    this.#owners = owners
    this.#needed = neededOf(level, owners.length)
    this.#anyWillDo = level === 'one'
    this.#listener = listener
    this.#settle = settle
  }

  send(change: Change, call: NodeCall): void {
    this.#change = change
    this.#listener.asked(this.#owners.length)
    for (const owner of this.#owners) owner.change(change, this, call)
  }

  settled(status: Status, node: CacheNode): void {
    if (node.id === this.#owners[0]!.id) this.#primaryHeard = true
    if (status.state === 'failed' || status.state === 'unknown') {
      this.#failed++
      if (status.state === 'unknown') this.#isUnknown = true
      this.#decide(status.error)
      this.#lack(node, status.error.message)
      this.#listener.heard()
      return
    }
    this.#held++
    if (this.#held === 1 && this.#lacking !== undefined) for (const each of this.#lacking) this.#listener.lacks(each, this.#change!, true)
    if (status.state === 'refused') {
      this.#refusals++
      if (node.id === this.#owners[0]!.id) this.#byPrimary = true
      if (this.#newest === undefined || status.version > this.#newest) this.#newest = status.version
    }
    this.#decide(undefined)
    this.#listener.heard()
  }

  #lack(node: CacheNode, reason: string): void {
    const change = this.#change!
    this.#lacking ??= []
    this.#lacking.push(node)
    this.#listener.missed(node, [change], reason)
    if (this.#held > 0) this.#listener.lacks(node, change, true)
    if (this.#failed === this.#owners.length) this.#listener.unheard(change, this.#lacking, this.#isUnknown)
  }

  #decide(error: RingtailError | undefined): void {
    if (this.#decided) return
    const heardAll = this.#held + this.#failed === this.#owners.length
    const unseen = this.#byPrimary && this.#refusals >= this.#needed
    const enough = heardAll || (this.#byPrimary ? unseen : this.#primaryHeard || (this.#anyWillDo && this.#newest === undefined))
    if (this.#held >= this.#needed && enough) {
      this.#decided = true
      this.#settle(this.#newest === undefined ? APPLIED : refused(this.#newest, this.#byPrimary, unseen))
    } else if (this.#failed > this.#owners.length - this.#needed) {
      this.#decided = true
      this.#settle(unreached(this.#held, this.#owners.length, this.#needed, error))
    }
  }
}
