/**
 * `npm run soak`: load for a long time, and one random fault after another, each healed before the next.
 */
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/testing/index.ts'
import { LONG, MOST_REQUESTS } from './chaos-plan.ts'
import type { RowName } from './row-names.ts'
import { ChaosRun } from './row-run.ts'
import { reportOf, tableOf } from './table.ts'

const USAGE = `Load for a long time, and one random fault after another.

  npm run soak                   10 minutes at ${LONG.rate.toLocaleString('en')} requests/s

  --for SECONDS  10 to 86400, with the rate at most ${MOST_REQUESTS.toLocaleString('en')} requests (default: 600)
  --rate N       requests a second, of both clients together: 10 to 100000 (default: ${LONG.rate})
  --seed N       which faults, and when (default: 1)
  --json         one object on stdout: rows[{name,ok,requests,failed,success,p999Ms,recoveryMs,stale,lost,why}]
  --help         this text
`

/** Those that leave each key an owner or the database, and the clients alive. What is added is removed the next time. */
const FAULTS: readonly RowName[] = [
  'node-killed',
  'node-stopped',
  'node-slow',
  'node-resets-mid-reply',
  'node-blackholed',
  'node-unheard',
  'node-deaf',
  'client-cut-from-node',
  'node-flapping',
  'two-nodes-killed',
  'zone-killed',
  'node-restarted-empty',
  'node-out-of-memory',
  'node-readonly',
  'node-busy-script',
  'shard-slow',
  'cold-start',
  'node-added',
]

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  let values: Record<string, string | boolean | undefined>
  try {
    values = parseArgs({ args: [...args], options: { for: text, rate: text, seed: text, json: flag, help: flag } }).values
  } catch (error) {
    return complain((error as Error).message.split('. ')[0]!)
  }
  if (values.help === true) {
    console.log(USAGE)
    return 0
  }
  const numbers: number[] = []
  for (const [name, least, most, otherwise] of [
    ['for', 10, 86_400, 600],
    ['rate', 10, 100_000, LONG.rate],
    ['seed', 0, 2 ** 31, LONG.seed],
  ] as const) {
    const given = values[name] ?? String(otherwise)
    const number = Number(given)
    if (!/^\d+$/.test(String(given)) || number < least || number > most)
      return complain(`--${name}: needs a whole number from ${least} to ${most}, but got: ${JSON.stringify(given)}`)
    numbers.push(number)
  }
  const [seconds, rate, seed] = numbers as [number, number, number]
  if (seconds * rate > MOST_REQUESTS)
    return complain(
      `--for: needs at most ${Math.floor(MOST_REQUESTS / rate)} at ${rate} requests/s, for each of at most ${MOST_REQUESTS} is kept until all are judged, but got: "${seconds}"`,
    )
  return soak(seconds * 1_000, rate, seed, values.json === true)
}

async function soak(forMs: number, rate: number, seed: number, json: boolean): Promise<number> {
  const startMs = performance.now()
  const leastRequests = Math.floor((rate * forMs) / 1_000 / 2)
  const run = new ChaosRun({ ...LONG, rate, seed, leastRequests }, (what) =>
    process.stderr.write(`${((performance.now() - startMs) / 1_000).toFixed(1).padStart(7)} s  ${what}\n`),
  )
  try {
    const verdict = await run.soak(forMs, FAULTS, seededRandom(seed))
    if (json) console.log(JSON.stringify({ rows: [reportOf(verdict)] }))
    else console.log(`${tableOf([verdict])}\n${verdict.details.join('\n')}`)
    return verdict.ok ? 0 : 1
  } finally {
    await run.close()
  }
}

function complain(message: string): number {
  console.error(`soak: ${message}. See --help`)
  return 2
}
