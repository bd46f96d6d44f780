/**
 * The process that has the servers and their proxies, and does to them what a row says.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { sharedMs } from '../../src/testing/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import { rowOf } from './all-rows.ts'
import type { Healed, InjectorOrder } from './chaos-messages.ts'
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
  const row = faultOf(order.row)
  if (ground === undefined) throw new Error(`chaos: needs to be prepared for '${order.do}'`)
  if (order.do === 'before') return row.before?.(ground)
  if (order.do === 'inject') {
    delay.reset()
    delay.enable()
    const injectedMs = sharedMs()
    await row.inject?.(ground)
    return injectedMs
  }
  await row.heal?.(ground)
  delay.disable()
  return { healedMs: sharedMs(), lagMs: delay.percentile(99.9) / 1e6 } satisfies Healed
}

function faultOf(name: RowName): FaultRow {
  const row = rowOf(name)
  if (isMissing(row)) throw new Error(`chaos: ${name} cannot be run: ${row.missing}`)
  return row
}

answerOrders<InjectorOrder>(answer, async () => void (await ground?.stop()))
