/**
 * The process that has the servers and their proxies, and does to them what a row says.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sharedMs } from '../../src/testing/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import { rowOf } from './all-rows.ts'
import type { Healed, Injected, InjectorOrder } from './chaos-messages.ts'
import { Ground } from './ground.ts'
import { type FaultRow, isMissing } from './row.ts'
import type { RowName } from './row-names.ts'

let ground: Ground | undefined
/** Of the proxies: what they are late by is no fault of the tier's. */
const delay = monitorEventLoopDelay({ resolution: 10 })

async function answer(order: InjectorOrder): Promise<unknown> {
  if (order.do === 'prepare') {
    ground ??= await Ground.start()
    const prepared = await ground.prepare(order.setting, order.faultMs)
    if (order.setting.full) await Promise.all(ground.nodes.map((node) => node.fill()))
    return prepared
  }
  if (order.do === 'lag') return lagMs()
  if (order.do === 'hints') return ground?.hintsKept() ?? 0
  const row = faultOf(order.row)
  if (ground === undefined) throw new Error(`chaos: needs to be prepared for '${order.do}'`)
  if (order.do === 'before') return row.before?.(ground)
  if (order.do === 'inject') {
    ground.forget()
    if (row.setting?.full === true) await sawFull(ground)
    const injected: Injected = { injectedMs: sharedMs(), lagMs: lagMs() }
    await row.inject?.(ground)
    return injected
  }
  if (row.setting?.full === true) await sawEvicting(ground)
  await row.heal?.(ground)
  const healed = { healedMs: sharedMs(), lagMs: lagMs(), saw: ground.sawSoFar }
  return { ...healed, hintsKept: await ground.hintsKept() } satisfies Healed
}

/** Of the nodes that are full, by their process: what they had evicted when the fault came. */
const evicted = new Map<number, number>()

async function sawFull(ground: Ground): Promise<void> {
  evicted.clear()
  for (const node of ground.nodes) {
    const keys = (await node.figure('evicted_keys')) ?? 0
    evicted.set(node.pid, keys)
    ground.saw('full', keys > 0 ? 1 : 0)
  }
}

/** Of those that are still there; what took the place of another has nothing to evict yet. */
async function sawEvicting(ground: Ground): Promise<void> {
  for (const node of ground.nodes) {
    const keys = await node.figure('evicted_keys').catch(() => undefined)
    const before = evicted.get(node.pid)
    if (keys !== undefined && before !== undefined) ground.saw('evicted', keys - before)
  }
}

/** Since it was last asked. */
function lagMs(): number {
  delay.enable()
  const lateMs = delay.percentile(99.9) / 1e6
  delay.reset()
  return lateMs
}

function faultOf(name: RowName): FaultRow {
  const row = rowOf(name)
  if (isMissing(row)) throw new Error(`chaos: ${name} cannot be run: ${row.missing}`)
  return row
}

answerOrders<InjectorOrder>(answer, async () => void (await ground?.stop()))
