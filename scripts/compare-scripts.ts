/**
 * `npm run scripts:compare`: the scripts on a real server beside their likeness in TypeScript, over as many random states as one likes.
 *
 * The test command does a tenth of this with a seed of its own; here each run draws another one, and says it, so that what it finds can be
 * found again.
 *
 *     npm run scripts:compare -- --states 100000 --seed 7
 */
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { seededRandom, startRedisServer } from '../src/testing/index.ts'
import { compareScripts } from '../src/testing/script-comparison.ts'

const options = { states: { type: 'string', default: '100000' }, seed: { type: 'string' } } as const

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options })
  const states = Number(values.states)
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  if (!(Number.isSafeInteger(states) && states > 0 && Number.isFinite(seed))) {
    console.error(`scripts:compare: needs --states and --seed as whole numbers, but got: ${values.states}, ${values.seed}`)
    return 2
  }
  const server = await startRedisServer({ policy: 'noeviction', maxMemory: 0 })
  const redis = new Redis(server.port, '127.0.0.1')
  const startMs = performance.now()
  try {
    const progress = (done: number): void => void (done % 10_000 === 0 && console.log(`${done} states`))
    const said = await compareScripts({ redis, states, random: seededRandom(seed), progress })
    for (const [outcome, times] of [...said].sort()) console.log(`${String(times).padStart(8)}  ${outcome}`)
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1)
    console.log(`${states} states on ${server.engine} ${server.version} and in TypeScript: all the same, in ${seconds} s (--seed ${seed})`)
    return 0
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown)
    console.error(`scripts:compare: they differ. Again: npm run scripts:compare -- --states ${states} --seed ${seed}`)
    return 1
  } finally {
    redis.disconnect()
    await server.stop()
  }
}
