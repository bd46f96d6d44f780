/**
 * Changing the ring of a running fleet: planned, made, gone on with after its operator died, or undone.
 *
 * Any process that has a tier can be the operator, one at a time. What a change comes to is in `topology.ts`; here is in which order its steps are
 * taken, forward and back. A change that fails or is given up before the new ring is settled is rolled back by who made it; what an operator
 * leaves that died is found on the nodes, by everybody, and neither goes on nor back by itself.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { asError, ClosedError, ConfigurationError, TopologyError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { durationMs, knownOptions, wholeNumber } from '../options.ts'
import { nextMembers } from './next-members.ts'
import { measured } from './plan-measuring.ts'
import { ringRead } from './ring-decisions.ts'
import { RingOperation } from './ring-operation.ts'
import { planOf } from './ring-plan.ts'
import type {
  ChangeProgress,
  CountedReads,
  Member,
  RingChange,
  RingChangeOptions,
  RingChangeReport,
  RingPlan,
  RingPlanOptions,
  TopologyNodes,
  TopologyRecord,
  TopologyReport,
} from './topology.ts'
import { TopologyLock } from './topology-lock.ts'
import { comingAndGoing, everyMember, idsBeyond, isSameStep, phaseOf, settledRecord } from './topology-record.ts'
import type { TopologyWatch } from './topology-watch.ts'

/** Entries looked at a second. */
const RATE = 20_000
/** How long reads and loads are counted for a plan, and at most, ms. */
const MEASURE_MS = 5_000
const MOST_MEASURE_MS = 3_600_000
/** How long a change under way may keep its tier from closing, ms. */
const CLOSE_WITHIN_MS = 2_000

export interface RingChangesParts {
  readonly nodes: TopologyNodes
  readonly watch: TopologyWatch
  /** The fleet's. */
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** What this process has read from the nodes so far. */
  readonly reads: () => CountedReads
}

export class RingChanges {
  readonly #parts: RingChangesParts
  readonly #underWay = new Set<Promise<unknown>>()
  /** Ends what is under way. */
  readonly #closing = new AbortController()
  /** Ends what closing still had to do. */
  readonly #closed = new AbortController()
  #progress: ChangeProgress | undefined

  constructor(parts: RingChangesParts) {
    this.#parts = parts
  }

  /** As this process knows it. */
  topology(): TopologyReport {
    const { current } = this.#parts.watch
    const { epoch, change } = current
    const { joining, leaving } = comingAndGoing(current)
    const stateOf = (id: string) => (joining.includes(id) ? 'joining' : leaving.includes(id) ? 'leaving' : 'member')
    return {
      epoch,
      phase: phaseOf(current),
      members: everyMember(current).map((member) => ({ ...member, state: stateOf(member.id) })),
      change: change && { id: change.id, by: change.by, startedMs: change.startedMs, progress: this.#progress },
    }
  }

  /** @throws ConfigurationError for a change that cannot be @throws TopologyError `unfinished` @throws ClosedError */
  async plan(change: RingChange, options: RingPlanOptions = {}): Promise<RingPlan> {
    const { nodes, watch, clock, reads } = this.#parts
    const { measureMs, rate } = checkedPlanOptions(options)
    await watch.look()
    const settled = settledOf(watch.latest)
    const next = nextMembers(settled.members, change)
    const before = nodes.measured(settled.members)
    const after = nodes.measured(next)
    const found = await measured({
      nodes: nodesOf(nodes, settled),
      joining: change.add ?? [],
      replicas: before.replicas,
      isRecorded: settled.epoch > 0,
      clock,
      reads,
      wait: measureMs === 0 ? undefined : () => this.#measuring(measureMs),
    })
    return planOf(before, after, found, rate)
  }

  /** @throws ConfigurationError for a change that cannot be @throws TopologyError */
  change(change: RingChange, options: RingChangeOptions = {}): Promise<RingChangeReport> {
    return this.#operate(
      options,
      async (operation, by, id) => {
        const next = nextMembers(settledOf(operation.last).members, change)
        await this.#undoing(operation, options, async () => {
          await operation.prepare(next)
          await operation.begin({ next, id, by, startedMs: this.#parts.clock.now() })
          await this.#goOn(operation)
        })
      },
      change,
    )
  }

  /** Goes on with a change whose operator has died, from wherever it stands. @throws TopologyError `settled` where there is none */
  resume(options: RingChangeOptions = {}): Promise<RingChangeReport> {
    return this.#operate(options, async (operation) => {
      unfinishedOf(operation.last)
      await this.#undoing(operation, options, async () => {
        await operation.heard()
        await this.#goOn(operation)
      })
    })
  }

  /** Undoes a change whose operator has died. @throws TopologyError `settled` where there is none */
  rollBack(options: RingChangeOptions = {}): Promise<RingChangeReport> {
    return this.#operate(options, async (operation) => {
      unfinishedOf(operation.last)
      await this.#goBack(operation)
    })
  }

  /**
   * Ends the changes under way here, within 2 s: back, as long as that takes one decision and no copying; otherwise they stay as they are, for others to
   * end. Leaves no timer. Never rejects.
   */
  async close(): Promise<void> {
    const reason = new TopologyError('the change of the ring was given up, for its tier was closed', 'aborted')
    this.#closing.abort(reason)
    if (this.#underWay.size > 0) {
      let timer: Timer | undefined
      const late = new Promise<void>((resolve) => {
        timer = this.#parts.clock.after(CLOSE_WITHIN_MS, resolve, { keepAlive: true })
      })
      await Promise.race([Promise.allSettled(this.#underWay), late])
      timer?.cancel()
    }
    this.#closed.abort(reason)
  }

  /** @throws ClosedError once the tier is closed */
  async #measuring(ms: number): Promise<void> {
    const { signal } = this.#closing
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = this.#parts.clock.after(signal.aborted ? 0 : ms, end, { keepAlive: true })
      signal.addEventListener('abort', end)
    })
    if (signal.aborted) throw new ClosedError('the tier is closed')
  }

  /** From where it stands to the end. */
  async #goOn(operation: RingOperation): Promise<void> {
    const everybody = everyMember(operation.last)
    if (phaseOf(operation.last) === 'moving') {
      await operation.copy()
      await operation.switch()
    }
    await operation.check()
    await operation.settle()
    await operation.clean(everybody)
  }

  /** While moving, the old ring is still read, and the other simply goes. Once switched, keys have to move back. */
  async #goBack(operation: RingOperation): Promise<void> {
    const { last } = operation
    await operation.heard()
    if (phaseOf(last) === 'moving') {
      const everybody = everyMember(last)
      await operation.settle()
      await operation.clean(everybody)
      return
    }
    const { members: next, ...beginning } = last.change!
    await operation.begin({ ...beginning, next })
    await this.#goOn(operation)
  }

  /** Rolls back what fails on its way, unless the new ring is settled. */
  async #undoing(failing: RingOperation, options: RingChangeOptions, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      // Who has lost the lock has lost the say: another is at it, or may be.
      const isMine = !(thrown instanceof TopologyError && thrown.reason === 'busy')
      if (!isMine || (phaseOf(failing.last) === 'settled' && !failing.isUnclear)) throw thrown
      failing.end()
      if (this.#closing.signal.aborted) await this.#withdrawn(failing, options)
      else if (!(await this.#rolledBack(failing, options, asError(thrown)))) return
      throw thrown
    }
  }

  /** @returns false where it turns out that the new ring is settled */
  async #rolledBack(failed: RingOperation, options: RingChangeOptions, cause: Error): Promise<boolean> {
    const operation = failed.successor((progress) => this.#tell(progress, options), this.#closing.signal)
    try {
      await operation.clear()
      const { last } = operation
      if (last.change?.id === failed.changeId && last.epoch <= failed.last.epoch + 1) await this.#goBack(operation)
      return phaseOf(failed.last) !== 'switched' || !isSameStep(last, settledRecord(failed.last, 0))
    } catch (thrown) {
      if (this.#closing.signal.aborted) {
        operation.end()
        await this.#withdrawn(failed, options)
        return true
      }
      const message = `${cause.message}; and it could not be rolled back, so that it is unfinished: ${asError(thrown).message}`
      throw new TopologyError(message, 'unreachable', { cause })
    } finally {
      operation.end()
    }
  }

  /** While moving, nobody reads by the new ring, and to leave it takes no waiting. What it was begun with grows old where nobody reads it. */
  async #withdrawn(failed: RingOperation, options: RingChangeOptions): Promise<void> {
    const operation = failed.successor((progress) => this.#tell(progress, options), this.#closed.signal)
    try {
      await operation.clear()
      const { last } = operation
      const isOurs = last.change?.id === failed.changeId && phaseOf(failed.last) !== 'switched'
      if (isOurs && phaseOf(last) === 'moving') await operation.withdraw()
    } catch {
      // Others find it as it stands.
    } finally {
      operation.end()
    }
  }

  #operate(
    options: RingChangeOptions,
    work: (operation: RingOperation, by: string, id: string) => Promise<void>,
    change?: RingChange,
  ): Promise<RingChangeReport> {
    if (this.#closing.signal.aborted) return Promise.reject(new ClosedError('the tier is closed'))
    const operating = this.#operating(options, work, change)
    this.#underWay.add(operating)
    const end = (): void => void this.#underWay.delete(operating)
    operating.then(end, end)
    return operating
  }

  async #operating(
    options: RingChangeOptions,
    work: (operation: RingOperation, by: string, id: string) => Promise<void>,
    change?: RingChange,
  ): Promise<RingChangeReport> {
    const { nodes, watch, clock, random } = this.#parts
    const { by, rate } = checkedOptions(options)
    const id = `${clock.now().toString(36)}-${Math.floor(random() * 2 ** 32).toString(36)}`
    await watch.look()
    this.#closing.signal.throwIfAborted()
    const release = watch.keepNodes()
    const known = nodes.all.map((node) => node.id)
    let lock: TopologyLock | undefined
    let operation: RingOperation | undefined
    try {
      const both = change === undefined ? watch.latest : await this.#joined(watch.latest, change)
      lock = new TopologyLock(id, by, clock, () => nodesOf(nodes, both))
      // What is begun can be ended without those whose ring is given up; each step forward asks for the others itself.
      await lock.take(change === undefined ? ringRead(both) : both)
      operation = new RingOperation({
        ...this.#parts,
        lock,
        rate,
        signal: options.signal,
        ending: this.#closing.signal,
        told: (progress) => this.#tell(progress, options),
      })
      // Whoever had the lock before may have decided something after the first look.
      await operation.clear()
      await this.#worked(operation, () => work(operation!, by, id))
      operation.end()
      return operation.report
    } finally {
      operation?.end()
      await lock?.giveBack()
      // As long as nothing of it was decided, or may have been, the nodes that it was to add are nobody's.
      release(operation?.isBegun === true ? [] : nodes.all.filter((node) => !known.includes(node.id)).map((node) => node.id))
      this.#progress = undefined
    }
  }

  /** A tier that closes once all is decided leaves the cleaning to the next change. */
  async #worked(operation: RingOperation, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown) {
      if (!(operation.isSettled && this.#closing.signal.aborted)) throw thrown
    }
  }

  /** Connects what is to be added. @returns a record of both rings, for whose majorities the lock is taken */
  async #joined(latest: TopologyRecord, change: RingChange): Promise<TopologyRecord> {
    const { nodes } = this.#parts
    const settled = settledOf(latest)
    const next = nextMembers(settled.members, change)
    // Whatever cannot be placed is known before anything happens.
    nodes.measured(next)
    nodes.admit(next, change.add)
    nodes.placing(next)
    const joining = idsBeyond(next, settled.members)
    await Promise.all(nodes.all.filter(({ id }) => joining.includes(id)).map((node) => node.connect()))
    return { ...settled, change: { id: '', phase: 'moving', members: next, startedMs: 0, by: '' } }
  }

  #tell(progress: ChangeProgress, { onProgress }: RingChangeOptions): void {
    this.#progress = progress
    const failed = (thrown: unknown): void => {
      this.#parts.emit('listener:failed', { event: 'onProgress', reason: asError(thrown).message })
    }
    try {
      // One that is async is not waited for.
      Promise.resolve(onProgress?.(progress)).catch(failed)
    } catch (thrown) {
      failed(thrown)
    }
  }
}

function checkedPlanOptions(options: RingPlanOptions): { readonly measureMs: number; readonly rate: number } {
  const what = 'a plan for the ring'
  knownOptions(options, what, ['measureFor', 'rate'])
  const { measureFor = MEASURE_MS, rate = RATE } = options
  const measureMs = durationMs(measureFor, `${what}: measureFor`)
  if (measureMs > MOST_MEASURE_MS) throw ConfigurationError.of(`${what}: measureFor`, 'an hour at most', measureFor)
  return { measureMs, rate: wholeNumber(rate, `${what}: rate`, 1) }
}

/** What is not a text, say, others could not read in the records that it is written into. */
function checkedOptions(options: RingChangeOptions): { readonly by: string; readonly rate: number } {
  const what = 'a change of the ring'
  knownOptions(options, what, ['onProgress', 'signal', 'rate', 'by'])
  const { onProgress, signal, rate = RATE, by = nameOfThisProcess() } = options
  if (typeof by !== 'string' || by === '') throw ConfigurationError.of(`${what}: by`, 'a text that is not empty', by)
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw ConfigurationError.of(`${what}: signal`, 'an AbortSignal', signal)
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw ConfigurationError.of(`${what}: onProgress`, 'a function', onProgress)
  return { by, rate: wholeNumber(rate, `${what}: rate`, 1) }
}

function nodesOf(nodes: TopologyNodes, record: TopologyRecord) {
  const members: readonly Member[] = everyMember(record)
  return nodes.all.filter(({ id }) => members.some((member) => member.id === id))
}

function settledOf(record: TopologyRecord): TopologyRecord {
  const { change } = record
  if (change === undefined) return record
  const message = `the ring is being changed by ${change.by}: needs to be ended first, or resumed or rolled back where its operator has died`
  throw new TopologyError(message, 'unfinished', { by: change.by })
}

function unfinishedOf(record: TopologyRecord): void {
  if (record.change === undefined) throw new TopologyError('needs an unfinished change of the ring, but got: none', 'settled')
}

function nameOfThisProcess(): string {
  const { hostname } = process.getBuiltinModule('node:os')
  return `${hostname()}, process ${process.pid}`
}
