/**
 * A ring of 1,000 nodes, and what a get costs on 3 nodes and on 100.
 *
 * The nodes are in this process, so that what is measured is the library's share and nothing else: how it finds the owner among many, and keeps
 * many callers and nodes apart. Each node has as many callers as the others, so a hundred have 6,400 gets under way; the objects are the same.
 * Tiers take turns, round by round.
 */
import { type Cache, cacheAside, createTier, hashRing, memoryNode, type Tier } from 'ringtail'
import { type Caller, closedLoop, type Measure } from '../harness/closed-loop.ts'
import { type Catalogue, catalogue, type Product, productOfTurn } from '../harness/products.ts'
import type { Row } from '../harness/report.ts'
import { interleavedRounds, type RoundsPlan, type Run } from '../harness/rounds.ts'
import { ratioOf, summaryOf } from '../harness/statistics.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { type RingSpeed, ringSpeed } from './ring-speed.ts'

const RING_NODES = 1_000
const BUILD_MS = 1_000
const LOOK_UP_NS = 1_500
const FEW = 3
const MANY = 100
const IN_FLIGHT_A_NODE = 64
/** By how much a get may cost more on many nodes. */
const FLAT = 1.1
/** Many and short: on a shared machine what is compared has to lie close together. */
const PLAN: RoundsPlan = { rounds: 41, warmUpMs: 1_000, runMs: 250 }
const QUICK_PLAN: RoundsPlan = { rounds: 1, warmUpMs: 0, runMs: 40 }
const QUICK_PRODUCTS = 500

export const ring: Study = { name: 'ring', title: `a ring of ${RING_NODES} nodes; a get on ${FEW} and on ${MANY}`, measure }

async function measure({ quick }: StudyCall): Promise<Findings> {
  const placement = hashRing()
  await placement.prepare()
  const speed = ringSpeed(placement, RING_NODES, quick ? 1 : 7)
  const costs = quick
    ? await costsOfGets([FEW, MANY], catalogue(QUICK_PRODUCTS), QUICK_PLAN)
    : await costsOfGets([FEW, 10, 30, MANY], catalogue(), PLAN)
  const [few, many] = [costs.get(FEW)!, costs.get(MANY)!].map((measures) => measures.map(({ cpuUs }) => cpuUs)) as [number[], number[]]
  const flat = ratioOf(many, few)
  return {
    rows: [
      atMost('ring/build', speed.buildMs, BUILD_MS, 'ms'),
      atMost(
        'ring/look-up',
        speed.lookUpUs.map((us) => us * 1_000),
        LOOK_UP_NS,
        'ns',
      ),
      {
        name: `ring/get on ${MANY} nodes over ${FEW}`,
        value: flat.median,
        bar: FLAT,
        most: true,
        gated: true,
        ours: summaryOf(many).median,
        peer: summaryOf(few).median,
        unit: 'µs',
        spread: [flat.min, flat.max],
      },
    ],
    text: [textOf(speed), ...[...costs].map(([nodes, measures]) => costText(nodes, measures))].join('\n'),
    doubts: [],
  }
}

function atMost(name: string, figures: readonly number[], bar: number, unit: string): Row {
  const { median, min, max } = summaryOf(figures)
  return { name, value: median, bar, most: true, gated: true, ours: median, peer: null, unit, spread: [min, max] }
}

async function costsOfGets(sizes: readonly number[], objects: Catalogue, plan: RoundsPlan): Promise<Map<number, readonly Measure[]>> {
  const opened: Tier[] = []
  try {
    const runs = new Map<string, Run<Measure>>()
    for (const nodes of sizes) {
      const tier = await createTier({ nodes: Array.from({ length: nodes }, (_, at) => memoryNode({ id: `node-${at}` })) })
      opened.push(tier)
      const products = tier.cache<Product>('product', { strategy: cacheAside(), ttl: '1h' })
      await products.setMany(objects.keys.map((key, id) => [key, objects.products[id]!] as const))
      runs.set(String(nodes), (ms) => closedLoop(gets(products, objects), nodes * IN_FLIGHT_A_NODE, ms))
    }
    const measured = await interleavedRounds(runs, plan)
    return new Map([...measured].map(([nodes, measures]) => [Number(nodes), measures]))
  } finally {
    for (const tier of opened) await tier.close()
  }
}

/** Nodes in memory answer at once, so the timer that ends a run would wait for ever: now and then every caller lets it in. */
const GETS_A_TURN = 8

function gets(products: Cache<Product>, { keys }: Catalogue): Caller {
  return async (turns) => {
    while (!turns.over) {
      for (let get = 0; get < GETS_A_TURN; get++) {
        const id = productOfTurn(turns.taken++, keys.length)
        const product = await products.get(keys[id]!)
        if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${product?.id}`)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

function textOf({ buildMs, firstUs, lookUpUs, compareMs }: RingSpeed): string {
  const [build, first, lookUp] = [buildMs, firstUs, lookUpUs].map((figures) => summaryOf(figures).median) as [number, number, number]
  return [
    `  ${RING_NODES} nodes, 256 points each: built in ${build.toFixed(0)} ms, compared with ${RING_NODES + 1} nodes in ${compareMs.toFixed(0)} ms`,
    `  three owners of a key in three zones: ${lookUp.toFixed(2)} µs; on a new ring ${first.toFixed(2)} µs`,
  ].join('\n')
}

function costText(nodes: number, measures: readonly Measure[]): string {
  const cost = summaryOf(measures.map(({ cpuUs }) => cpuUs))
  const rate = summaryOf(measures.map((each) => each.rate)).median
  const range = `${cost.min.toFixed(2)} – ${cost.max.toFixed(2)}`
  return `  ${nodes} nodes, ${nodes * IN_FLIGHT_A_NODE} gets in flight: ${cost.median.toFixed(2)} µs of processor a get (rounds ${range}), ${Math.round(rate)} gets/s`
}
