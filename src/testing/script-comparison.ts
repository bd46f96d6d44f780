/**
 * The scripts on a real server beside their likeness in TypeScript: whatever lies under the keys and whatever is asked, both say the same,
 * and the same lies there afterwards with the same life.
 *
 * What a memory node does, and every simulation built on its rules, is only worth what this comparison is. A batch of random cases
 * (`script-cases.ts`) is laid on the server and in a map, called on both, and read back; the server's time is read around each step, and
 * what hangs on it (a lease's end, a life) may differ by just what passed between. Every eighth batch finds the server without room.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Redis } from 'ioredis'
import type { Random } from '../clock.ts'
import { HEADER_BYTES, isEnvelope, OFFSET } from '../codec/envelope.ts'
import { inspectBriefly } from '../errors.ts'
import { applyChange, type JudgedEntries } from '../node/judge-change.ts'
import { grantLease } from '../node/judge-lease.ts'
import type { Leased, Status } from '../node/node.ts'
import { leasedOf, statusOf } from '../node/redis-reply.ts'
import { applyArguments, leaseArguments } from '../node/script-arguments.ts'
import { applyScript, leaseScript } from '../node/script-source.ts'
import { type Laid, type ScriptCase, ScriptCases } from './script-cases.ts'

export interface ScriptComparison {
  /** A server of this comparison's own: it is emptied, and its `maxmemory` set. */
  readonly redis: Redis
  /** How many random states and calls. */
  readonly states: number
  readonly random: Random
  /** Told of how many are done, now and then. */
  readonly progress?: (states: number) => void
}

const BATCH = 250
/** One batch in so many finds no room. */
const FULL_ONE_IN = 8
/** Between what is drawn and what it is judged by lies at least so much; a batch that takes longer proves nothing, ms. */
const LONGEST_BATCH_MS = 15_000

/** @returns how often each thing was said, by what was asked: `put applied`, `ask held` @throws Error that shows the first case in which the two differ */
export async function compareScripts({ redis, states, random, progress }: ScriptComparison): Promise<ReadonlyMap<string, number>> {
  const said = new Map<string, number>()
  await redis.script('LOAD', applyScript().lua)
  await redis.script('LOAD', leaseScript().lua)
  for (let done = 0, batch = 0; done < states; done += BATCH, batch++) {
    const cases = new ScriptCases(random, await timeOf(redis))
    const drawn = Array.from({ length: Math.min(BATCH, states - done) }, (_, i) => cases.next(`case:${done + i}`))
    await compareBatch(redis, drawn, batch % FULL_ONE_IN === FULL_ONE_IN - 1, said)
    progress?.(done + drawn.length)
  }
  return said
}

async function compareBatch(redis: Redis, cases: readonly ScriptCase[], full: boolean, said: Map<string, number>): Promise<void> {
  await redis.flushall()
  const beganMs = await timeOf(redis)
  await layAll(redis, cases)
  if (full) await redis.config('SET', 'maxmemory', '1')
  const calledMs = await timeOf(redis)
  const replies = await callAll(redis, cases)
  const answeredMs = await timeOf(redis)
  const found = await readAll(redis, cases)
  if (full) await redis.config('SET', 'maxmemory', '0')
  const slackMs = (await timeOf(redis)) - beganMs
  if (slackMs > LONGEST_BATCH_MS) throw new Error(`comparison: needs ${LONGEST_BATCH_MS} ms a batch at most, but took: ${slackMs} ms`)
  for (const [i, each] of cases.entries()) {
    const likeness = new LikeEntries(each.laid, calledMs, full)
    const callSlackMs = answeredMs - calledMs
    const wanted = [...each.changes.map((change) => likeness.change(change)), ...each.asks.map((ask) => likeness.ask(ask))]
    const got = replies[i]!
    const differs = (what: string, here: unknown, there: unknown): Error =>
      new Error(`${what}: the server has ${show(here)}, its likeness ${show(there)}${full ? ', without room' : ''}; ${show(each)}`)
    for (const [at, answer] of wanted.entries()) {
      const here = got[at]!
      if (!isSame(here, answer, callSlackMs)) throw differs(`answer ${at}`, here, answer)
      const asked = each.changes[at]
      const name = asked === undefined ? 'ask' : asked.op === 'put' ? putName(asked) : asked.op
      const outcome = `${name} ${outcomeOf(answer)}`
      said.set(outcome, (said.get(outcome) ?? 0) + 1)
    }
    for (const key of each.laid.keys()) {
      const [bytes, ttlMs] = found.get(key)!
      if (!isSameBytes(bytes, likeness.bytesOrType(key), callSlackMs)) throw differs(`bytes of ${key}`, bytes, likeness.bytesOrType(key))
      if (!isNear(ttlMs, likeness.ttlMs(key), slackMs + 2)) throw differs(`life of ${key}`, ttlMs, likeness.ttlMs(key))
    }
  }
}

async function layAll(redis: Redis, cases: readonly ScriptCase[]): Promise<void> {
  const laying = redis.pipeline()
  for (const { laid } of cases) {
    for (const [key, what] of laid) {
      if (what.type === 'nothing') continue
      if (what.type === 'string') laying.set(key, what.bytes)
      else if (what.type === 'list') laying.rpush(key, 'x')
      else laying.hset(key, 'x', 'y')
      if (what.ttlMs > 0) laying.pexpire(key, what.ttlMs)
    }
  }
  for (const [error] of (await laying.exec()) ?? []) if (error !== null) throw error
}

async function callAll(redis: Redis, cases: readonly ScriptCase[]): Promise<(Status | Leased)[][]> {
  const calls = cases.map(({ changes, asks }) =>
    changes.length > 0
      ? redis.callBuffer('EVALSHA', applyArguments(applyScript().sha1, changes))
      : redis.callBuffer('EVALSHA', leaseArguments(leaseScript().sha1, asks)),
  )
  const replies = (await Promise.all(calls)) as unknown[][]
  return replies.map((reply, i) => reply.map((each) => (cases[i]!.changes.length > 0 ? statusOf(each, 'n') : leasedOf(each, 'n'))))
}

/** By key: its bytes, or the type of what is no string, and its remaining life as a node tells it. */
async function readAll(
  redis: Redis,
  cases: readonly ScriptCase[],
): Promise<Map<string, readonly [Uint8Array | string | undefined, number | undefined]>> {
  const keys = cases.flatMap(({ laid }) => [...laid.keys()])
  const [values, types, lives] = await Promise.all([
    redis.mgetBuffer(keys),
    Promise.all(keys.map((key) => redis.type(key))),
    Promise.all(keys.map((key) => redis.pttl(key))),
  ])
  return new Map(
    keys.map((key, i) => {
      const type = types[i] === 'none' ? undefined : types[i]
      return [key, [values[i] ?? type, type === undefined ? undefined : Math.max(0, lives[i]!)]]
    }),
  )
}

async function timeOf(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}

/** The entries of a case as the likeness has them: strings, and what is none and throws where it is read. */
class LikeEntries implements JudgedEntries {
  readonly #laid: Map<string, Laid>
  readonly #nowMs: number
  readonly #full: boolean

  constructor(laid: ReadonlyMap<string, Laid>, nowMs: number, full: boolean) {
    this.#laid = new Map(laid)
    this.#nowMs = nowMs
    this.#full = full
  }

  change(change: ScriptCase['changes'][number]): Status {
    return this.#orFailed(() => applyChange(this, change, this.#nowMs, 'n'))
  }

  ask(ask: ScriptCase['asks'][number]): Leased {
    return this.#orFailed(() => grantLease(this, ask, this.#nowMs, 'n'))
  }

  bytesOrType(key: string): Uint8Array | string | undefined {
    const laid = this.#laid.get(key)!
    return laid.type === 'string' ? laid.bytes : laid.type === 'nothing' ? undefined : laid.type
  }

  peek(key: string): Uint8Array | undefined {
    const laid = this.bytesOrType(key)
    if (typeof laid === 'string') throw new Error('WRONGTYPE Operation against a key holding the wrong kind of value')
    return laid
  }

  ttlMs(key: string): number | undefined {
    const laid = this.#laid.get(key)!
    return laid.type === 'nothing' ? undefined : laid.ttlMs
  }

  store(key: string, bytes: Uint8Array, ttlMs: number): boolean {
    this.#laid.set(key, this.#full ? { type: 'nothing' } : { type: 'string', bytes: Buffer.from(bytes), ttlMs: Math.ceil(ttlMs) })
    return !this.#full
  }

  rewrite(key: string, bytes: Uint8Array): boolean {
    if (!this.#full) this.#laid.set(key, { type: 'string', bytes: Buffer.from(bytes), ttlMs: this.ttlMs(key)! })
    return !this.#full
  }

  prolong(key: string, ttlMs: number): void {
    this.#laid.set(key, { type: 'string', bytes: Buffer.from(this.peek(key)!), ttlMs })
  }

  remove(key: string): void {
    this.#laid.set(key, { type: 'nothing' })
  }

  #orFailed<T>(judge: () => T): T | { state: 'failed'; error: never } {
    try {
      return judge()
    } catch (thrown) {
      return { state: 'failed', error: thrown as never }
    }
  }
}

function isSame(here: Status | Leased, there: Status | Leased, slackMs: number): boolean {
  if (outcomeOf(here) !== outcomeOf(there)) return false
  if (here.state === 'held') return isBetween((there as typeof here).forMs - here.forMs, 0, slackMs)
  if (here.state === 'changed') return isSameBytes(here.bytes, (there as typeof here).bytes, slackMs)
  if (here.state === 'granted') return isDeepStrictEqual(here.held, (there as typeof here).held)
  return here.state !== 'refused' || here.version === (there as typeof here).version
}

/** Equal but for the end of a lease, which was granted up to `slackMs` later here. */
function isSameBytes(here: Uint8Array | string | undefined, there: Uint8Array | string | undefined, slackMs: number): boolean {
  if (typeof here !== 'object' || typeof there !== 'object') return here === there
  const a = Buffer.from(here)
  const b = Buffer.from(there)
  if (a.length >= HEADER_BYTES && isEnvelope(a) && b.length === a.length) {
    if (!isBetween((a.readUInt32BE(OFFSET.leaseUntil) - b.readUInt32BE(OFFSET.leaseUntil)) | 0, 0, slackMs)) return false
    b.copy(a, OFFSET.leaseUntil, OFFSET.leaseUntil, OFFSET.begun)
  }
  return a.equals(b)
}

function isNear(here: number | undefined, there: number | undefined, slackMs: number): boolean {
  if (here === undefined || there === undefined || here === 0 || there === 0) return here === there
  return Math.abs(here - there) <= slackMs
}

function isBetween(value: number, least: number, most: number): boolean {
  return value >= least && value <= most
}

function putName({ lease, expected }: { lease?: number | undefined; expected?: bigint | undefined }): string {
  return lease !== undefined ? 'fill' : expected !== undefined ? 'expect' : 'put'
}

/** The state, and of a failure the first word of why. */
function outcomeOf(answer: Status | Leased): string {
  if (answer.state !== 'failed') return answer.state
  return `failed ${answer.error.message.replace('node n: ', '').split(' ', 1)[0]}`
}

function show(what: unknown): string {
  const text = JSON.stringify(what, (_, value) => {
    if (value instanceof Map) return [...value]
    if (typeof value === 'bigint') return `${value}n`
    return value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value
  })
  return text === undefined ? inspectBriefly(what) : text
}
