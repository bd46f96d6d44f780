import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adminOf, server } from '../testing/live-redis.ts'
import { compareScripts } from '../testing/script-comparison.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { applyScript } from './script-source.ts'

/** `npm run scripts:compare` does as many as it is told, with another seed each time. */
const STATES = 10_000
const SEED = 20_261_124

/** Each of these must have come about, else the comparison proves less than it says. */
const SAID = [
  ...['put', 'fill', 'expect'].flatMap((put) =>
    ['applied', 'refused', 'failed LATE', 'failed OOM', 'failed a', 'failed WRONGTYPE'].map((said) => `${put} ${said}`),
  ),
  ...['applied', 'refused', 'failed OOM', 'failed WRONGTYPE'].map((said) => `touch ${said}`),
  ...['applied', 'failed WRONGTYPE'].map((said) => `release ${said}`),
  ...['set applied', 'set failed OOM', 'drop applied'],
  ...['granted', 'held', 'changed', 'failed OOM', 'failed WRONGTYPE'].map((said) => `ask ${said}`),
]

test('the scripts and their likeness in TypeScript say the same of any call on any state, and leave the same', {
  timeout: 100_000,
}, async (t) => {
  const redis = adminOf(t, await server(t, { policy: 'noeviction', maxMemory: 0 }))
  const said = await compareScripts({ redis, states: STATES, random: seededRandom(SEED) })
  for (const outcome of SAID) assert.ok((said.get(outcome) ?? 0) >= 10, `${outcome}: ${said.get(outcome) ?? 0} times`)
})

test('letters that are not one for each key, or none that there is, apply nothing', async (t) => {
  const redis = adminOf(t, await server(t))
  const apply = (keys: readonly string[], ...args: string[]) => redis.eval(applyScript().lua, keys.length, ...keys, ...args)
  for (const letters of ['xs', 's', 'sss', 'sP?']) {
    await assert.rejects(
      async () => apply(['a', 'b'], letters, 'one', '0', 'two', '0'),
      (error: Error) => error.message === `ERR needs a letter of pcfPCFtrsd for each of 2 keys, but got: ${letters}`,
    )
  }
  assert.equal(await redis.dbsize(), 0)
  assert.deepEqual(await apply(['a', 'b'], 'ss', 'one', '0', 'two', '0'), [1, 1])
})
