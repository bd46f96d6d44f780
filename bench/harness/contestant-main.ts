/**
 * The process of one contestant: opens the library that it is told to, fills its cache with what a workload reads, and runs on demand.
 *
 * No collection of garbage is forced between runs: a full one also throws compiled code away, which costs every library some 50 % more
 * processor time in the run that follows, and which no application does.
 */
import { PEERS, TASKS, WORKLOADS } from '../entrants.ts'
import { closedLoop, type Measure } from './closed-loop.ts'
import type { Contestant, Ground } from './contestant.ts'
import type { Answer, Order } from './contestant-process.ts'
import type { Opened } from './entrant.ts'
import { versionsOf } from './environment.ts'
import { fill } from './fill.ts'
import { type Catalogue, catalogue, JSON_BYTES } from './products.ts'

interface Open {
  readonly contestant: Contestant
  readonly ground: Ground
}

let opened: Open | undefined
/** By size of the products. */
const catalogues = new Map<number, Catalogue>()
/** By size: what the cache was filled with. */
const filled = new Map<number, Promise<void>>()

process.on('message', async (order: Order) => {
  let answer: Answer
  try {
    answer = await answerTo(order)
  } catch (error) {
    answer = { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
  process.send?.(answer)
})

process.once('disconnect', async () => {
  await opened?.contestant.close()
  process.exit()
})

async function answerTo(order: Order): Promise<Answer> {
  if (order.do === 'open') return { opened: await open(order) }
  if (opened === undefined) throw new Error('needs to be opened first')
  if (order.do === 'run') return { measure: await run(opened, order) }
  const load = TASKS[order.task]
  if (load === undefined) throw new Error(`needs one of ${Object.keys(TASKS).join(', ')}, but got: ${order.task}`)
  const task = await load()
  return { done: await task({ ...opened, args: order.args as never }) }
}

async function open({ peer, ground }: Extract<Order, { do: 'open' }>): Promise<Opened> {
  const load = PEERS[peer]
  if (load === undefined) throw new Error(`needs one of ${Object.keys(PEERS).join(', ')}, but got: ${peer}`)
  const { page, packages, open } = await load()
  opened = { contestant: await open(ground), ground }
  return { page, versions: versionsOf(packages) }
}

async function run({ contestant, ground }: Open, { workload: name, ms }: Extract<Order, { do: 'run' }>): Promise<Measure> {
  const workload = WORKLOADS.find((each) => each.name === name)
  if (workload === undefined) throw new Error(`needs a workload of the line-up, but got: ${name}`)
  const bytes = workload.bytes ?? JSON_BYTES
  const products = known(catalogues, bytes, () => catalogue(ground.products, bytes))
  if (workload.needsNothing !== true) await known(filled, bytes, () => fill(contestant, products))
  const measure = await closedLoop(workload.callerOf(contestant, products), workload.inFlight, ms)
  await workload.check?.(contestant, products)
  return measure
}

function known<T>(all: Map<number, T>, bytes: number, make: () => T): T {
  const made = all.get(bytes) ?? make()
  all.set(bytes, made)
  return made
}
