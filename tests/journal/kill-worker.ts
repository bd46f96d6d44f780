/**
 * A process that writes behind and is killed: what it says was acknowledged is all that anybody knows of it.
 *
 * Each acknowledgement is a line in a file, written before anything else is done; each attempt too, before it is made. Values of one key only
 * grow, so that the database's own record of changes tells what came after what. `at` kills it at a step of a journal's cycle.
 */
import { openSync, writeSync } from 'node:fs'
import pg from 'pg'
import { createTier, type Journal, openJournal, postgresStore, redisNode, type Store, writeBehind } from '../../src/index.ts'
import type { KillSetting } from './kills.ts'

interface Cart {
  readonly n: number
}

const setting = JSON.parse(process.argv[2]!) as KillSetting
const log = openSync(setting.log, 'a')
const say = (line: string): void => void writeSync(log, `${line}\n`)

let passes = 0
/** The process ends at the n-th pass of the step that was ordered. */
function pass(step: string): void {
  if (step === setting.at?.step && ++passes === setting.at.pass) process.kill(process.pid, 'SIGKILL')
}

const pool = new pg.Pool({ connectionString: setting.database, max: 4 })
pool.on('error', () => {})
const journal = stepping(await openJournal({ directory: setting.directory }))
const tier = await createTier({ nodes: setting.nodes.map((url, nth) => redisNode(url, { id: `n${nth}`, timeout: '5s' })) })
const carts = tier.cache<Cart>('carts', {
  strategy: writeBehind(steppingStore(postgresStore<Cart>({ pool, table: 'carts', removals: 'carts_removals' })), {
    journal,
    flushAfter: '5ms',
    drain: '30s',
    adoptAfter: '1ms',
  }),
  ttl: '1h',
  deadlines: { call: '20s', try: '10s', load: '20s' },
})

if (setting.writes) await write()
await readAll()
await tier.close()
await journal.close()
await pool.end()
say('drained')

/** So that what processes before have left behind is taken up. */
async function readAll(): Promise<void> {
  const keys = Array.from({ length: setting.shared }, (_, nth) => `shared-${nth}`)
  for (let caller = 0; caller < setting.callers; caller++)
    for (let nth = 0; nth < setting.keys; nth++) keys.push(`${setting.name}-${caller}-${nth}`)
  for (let round = 0; round < 5; round++) {
    await carts.getMany(keys)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** For ever: each caller has keys of its own, so that its values tell their order, and raises the counters that all share. */
async function write(): Promise<void> {
  const callers = Array.from({ length: setting.callers }, async (_, caller) => {
    for (let turn = 0; ; turn++) {
      if (setting.shared > 0) await raise(`shared-${(turn + caller) % setting.shared}`)
      const key = `${setting.name}-${caller}-${turn % setting.keys}`
      const n = setting.from + turn
      const removes = turn % 11 === 10
      say(`try ${key} ${removes ? 'none' : n} ${n}`)
      try {
        if (removes) await carts.delete(key)
        else if (turn % 3 === 2) await carts.update(key, () => ({ n }))
        else await carts.set(key, { n })
      } catch {
        // An update of what is not cached needs the database; whether another write came about is not said.
        continue
      }
      say(`ok ${key} ${removes ? 'none' : n} ${n}`)
    }
  })
  await Promise.all(callers)
}

async function raise(key: string): Promise<void> {
  say(`raise ${key}`)
  try {
    await carts.update(key, (cart) => ({ n: (cart?.n ?? 0) + 1 }))
  } catch {
    return
  }
  say(`raised ${key}`)
}

/** The journal with a step before and after each call. */
function stepping(whole: Journal): Journal {
  return new Proxy(whole, {
    get(target, name) {
      const member = target[name as keyof Journal]
      if (typeof member !== 'function') return member
      return (...args: never[]) => {
        pass(`${String(name)}:before`)
        const result = (member as (...args: never[]) => unknown).apply(target, args)
        if (result instanceof Promise)
          result.then(
            () => pass(`${String(name)}:after`),
            () => {},
          )
        return result
      }
    },
  })
}

function steppingStore(store: Store<Cart>): Store<Cart> {
  return {
    name: store.name,
    versioned: store.versioned,
    remembersRemovals: store.remembersRemovals,
    load: (keys, call) => store.load(keys, call),
    stats: () => store.stats(),
    save: async (saves, call) => {
      pass('save:before')
      const statuses = await store.save(saves, call)
      pass('save:after')
      return statuses
    },
    remove: async (removals, call) => {
      pass('remove:before')
      const statuses = await store.remove(removals, call)
      pass('remove:after')
      return statuses
    },
  }
}
