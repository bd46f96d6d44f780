/**
 * What placement costs and how even it is: `node --conditions=ringtail-source bench/ring.ts [--json]`.
 *
 * Balance and movement are exact, from the arcs of 100 rings of ten members with different ids; they come out the same on every machine.
 * Times are medians of several rounds; each look-up is of another key, over more keys than fit a processor's nearest cache.
 */
import { parseArgs } from 'node:util'
import { hashRing, ketamaRing, movedShares, type Placement, type Ring, sharesOf } from 'ringtail'
import { median, membersOf, ringSpeed } from './studies/ring-speed.ts'

const RINGS = 100
const NODES = 10
const ROUNDS = 7

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const hash = hashRing()
const ketama = ketamaRing()
await Promise.all([hash.prepare(), ketama.prepare()])

const report = {
  balance: balance(),
  weightTwoRatio: round(mean(perRing((ring) => ratioOfWeightTwo(ring)))),
  movement: movement(),
  speed: [10, 100, 1_000].map((nodes) => speed(hash, nodes)).concat(speed(ketama, 10), speed(ketama, 100)),
}
if (options.json) console.log(JSON.stringify(report))
else print()

/** The fullest member's share of primaries over the mean share; and the emptiest member's. */
function balance() {
  const shares = perRing((ring) => primariesOf(hash.build(membersOf(NODES, ring), 3)))
  const fullest = shares.map((each) => Math.max(...each) * NODES)
  const emptiest = shares.map((each) => Math.min(...each) * NODES)
  return {
    rings: RINGS,
    maxOverMean: round(mean(fullest)),
    maxOverMeanWorst: round(Math.max(...fullest)),
    minOverMean: round(mean(emptiest)),
  }
}

function ratioOfWeightTwo(ring: number): number {
  const [heavy, ...others] = membersOf(NODES, ring)
  const [share] = primariesOf(hash.build([{ ...heavy!, weight: 2 }, ...others], 3))
  return share! / ((1 - share!) / others.length)
}

/** An 11th member joins, one of ten leaves: the primaries that move, over the least that could; those that move astray; the copies to make. */
function movement() {
  const joined = perRing((ring) => {
    const members = membersOf(NODES + 1, ring)
    const joining = members.at(-1)!.id
    const { primaries, copies } = movedShares(hash.build(members.slice(0, -1), 3), hash.build(members, 3))
    const astray = primaries.moves.filter(({ to }) => to !== joining).reduce((sum, { share }) => sum + share, 0)
    return { primaries: primaries.share * (NODES + 1), copies: (copies.share * (NODES + 1)) / 3, astray }
  })
  const left = perRing((ring) => {
    const [leaving, ...others] = membersOf(NODES, ring)
    const { primaries } = movedShares(hash.build([leaving!, ...others], 3), hash.build(others, 3))
    return primaries.moves.filter(({ from }) => from !== leaving!.id).reduce((sum, { share }) => sum + share, 0)
  })
  return {
    joinOverLeast: round(mean(joined.map(({ primaries }) => primaries))),
    joinCopiesOverLeast: round(mean(joined.map(({ copies }) => copies))),
    joinAstray: mean(joined.map(({ astray }) => astray)),
    leaveAstray: mean(left),
  }
}

function speed(placement: Placement, nodes: number) {
  const { buildMs, firstUs, lookUpUs, compareMs } = ringSpeed(placement, nodes, ROUNDS)
  return {
    placement: placement.name,
    nodes,
    nsPerLookup: Math.round(median(lookUpUs) * 1_000),
    firstNs: Math.round(median(firstUs) * 1_000),
    buildMs: round(median(buildMs)),
    movedSharesMs: round(compareMs),
  }
}

function print(): void {
  const { balance: even, movement: moved } = report
  console.log(
    `balance     ${NODES} equal members, ${RINGS} rings: fullest ${even.maxOverMean} × mean (worst ${even.maxOverMeanWorst}), emptiest ${even.minOverMean} × mean`,
  )
  console.log(`weights     a member of weight 2 has ${report.weightTwoRatio} × the share of one of weight 1`)
  console.log(
    `join        an 11th member takes ${moved.joinOverLeast} × 1/11 of primaries, ${moved.joinCopiesOverLeast} × 3/11 copies; ${moved.joinAstray} astray`,
  )
  console.log(`leave       one of ten moves only its own primaries; ${moved.leaveAstray} astray`)
  for (const { placement, nodes, nsPerLookup, firstNs, buildMs, movedSharesMs } of report.speed) {
    const name = `${placement} ${nodes}`.padEnd(12)
    console.log(
      `${name}${nsPerLookup} ns an ownersOf of three (${firstNs} on a new ring), built in ${buildMs} ms, compared in ${movedSharesMs} ms`,
    )
  }
}

function primariesOf(ring: Ring): number[] {
  return [...sharesOf(ring).values()].map(({ primaries }) => primaries)
}

function perRing<T>(measure: (ring: number) => T): T[] {
  return Array.from({ length: RINGS }, (_, ring) => measure(ring))
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0) / numbers.length
}

function round(number: number): number {
  return Math.round(number * 1_000) / 1_000
}
