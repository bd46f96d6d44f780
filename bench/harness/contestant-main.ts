/**
 * The process of one contestant: opens the library that it is told to, fills its cache, and runs workloads on demand.
 *
 * No collection of garbage is forced between runs: a full one also throws compiled code away, which costs every library some 50 % more
 * processor time in the run that follows, and which no application does.
 */
import { PEERS, WORKLOADS } from '../line-up.ts'
import { closedLoop, type Measure } from './closed-loop.ts'
import type { Contestant } from './contestant.ts'
import type { Answer, Opened, Order } from './contestant-process.ts'
import { versionsOf } from './environment.ts'
import { type Catalogue, catalogue } from './products.ts'

const FILL_IN_FLIGHT = 64

const products = catalogue()
let contestant: Contestant | undefined

process.on('message', async (order: Order) => {
  let answer: Answer
  try {
    answer = order.do === 'open' ? { opened: await open(order) } : { measure: await run(order) }
  } catch (error) {
    answer = { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
  process.send?.(answer)
})

process.once('disconnect', async () => {
  await contestant?.close()
  process.exit()
})

async function open({ peer, ground }: Extract<Order, { do: 'open' }>): Promise<Opened> {
  const load = PEERS[peer]
  if (load === undefined) throw new Error(`needs one of ${Object.keys(PEERS).join(', ')}, but got: ${peer}`)
  const { page, packages, open } = await load()
  contestant = await open(ground)
  await fill(contestant, products)
  return { page, versions: versionsOf(packages) }
}

async function run({ workload: name, ms }: Extract<Order, { do: 'run' }>): Promise<Measure> {
  const workload = WORKLOADS.find((each) => each.name === name)
  if (workload === undefined || contestant === undefined) throw new Error(`cannot run ${name}`)
  const measure = await closedLoop(workload.callerOf(contestant, products), workload.inFlight, ms)
  await workload.check?.(contestant, products)
  return measure
}

async function fill(target: Contestant, { keys, products: all }: Catalogue): Promise<void> {
  let next = 0
  const filler = async (): Promise<void> => {
    while (next < keys.length) {
      const at = next++
      await target.set(keys[at]!, all[at]!)
    }
  }
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, filler))
}
