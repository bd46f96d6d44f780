/**
 * `npm run bench:cold-start`: an empty cache under full load, without and with the guard before its database.
 *
 *     npm run bench:cold-start -- --rate 2000 --seconds 10 --keys 8000
 */
import { parseArgs } from 'node:util'
import { coldStart } from '../tests/support/cold-start.ts'
import { startPostgres } from '../tests/support/postgres.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '10' },
    keys: { type: 'string', default: '8000' },
  },
})
const [rate, seconds, keys] = [values.rate, values.seconds, values.keys].map(Number) as [number, number, number]
if (!(rate > 0 && seconds > 0 && keys > 0)) {
  console.error('bench:cold-start: needs --rate, --seconds and --keys above 0')
  process.exit(2)
}
const postgres = await startPostgres()
try {
  for (const stores of [false, {}] as const) {
    const figures = await coldStart(postgres, { stores, rate, seconds, keys })
    const { requests, answered, failed, mostAtOnce, statements, answeredAtEnd, wellAfterMs, p50Ms, p99Ms } = figures
    const failures = Object.entries(failed).map(([code, count]) => `${count} ${code}`)
    console.log(`${stores === false ? 'without' : 'with'} the guard: ${rate} reads/s of ${keys} keys, ${seconds} s, empty cache`)
    console.log(
      `  answered ${answered} of ${requests} (${((100 * answered) / requests).toFixed(2)} %), p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(0)} ms`,
    )
    console.log(`  failed: ${failures.join(', ') || 'none'}; in the last fifth ${(100 * answeredAtEnd).toFixed(2)} % answered`)
    console.log(
      `  last failure after ${wellAfterMs === undefined ? 'the end' : `${wellAfterMs.toFixed(0)} ms`}; ${statements} statements, ${mostAtOnce} at once at most`,
    )
  }
} finally {
  await postgres.stop()
}
