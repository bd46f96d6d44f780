/**
 * `redis-benchmark`, which comes with the server: MGETs of 64 keys as fast as the server answers them, by a client in C that looks at nothing.
 *
 * That is the limit of whatever reads through one server. It reads the very entries that Ringtail reads, so they have to be there before; what it
 * found missing fails the benchmark.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis-6'
import { UnavailableError } from 'ringtail'
import type { Measure } from '../harness/closed-loop.ts'
import type { Ground } from '../harness/contestant.ts'
import type { Entrant, Opened } from '../harness/entrant.ts'

const NAMES = ['redis-benchmark', 'valkey-benchmark']
const KEYS_A_CALL = 64
/** As Ringtail writes them: `__rand_int__` becomes twelve digits. */
const KEY = 'rt:product:B__rand_int__'
/** Calls of the first, short run, which tells how many a longer one takes. */
const FIRST_CALLS = 2_000

export class RedisBenchmark implements Entrant {
  readonly name = 'redis-benchmark'
  #command = ''
  #ground: Ground | undefined
  #client: Redis | undefined
  #callsAMs = 0

  async open(ground: Ground): Promise<Opened> {
    const found = onPath(NAMES)
    if (found === undefined) {
      throw new UnavailableError(`${this.name}: needs ${NAMES.join(' or ')} on the PATH (on Debian and Ubuntu the package redis-tools)`)
    }
    this.#command = found
    this.#ground = ground
    this.#client = new Redis(ground.urls[0]!)
    const version = /(\d+\.\d+\.\d+)/.exec(await outputOf(found, ['--version']))?.[1] ?? 'unknown'
    return {
      page: 'https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/benchmarks/',
      versions: { [this.name]: version },
    }
  }

  async run(_workload: string, ms: number): Promise<Measure> {
    if (this.#callsAMs === 0) this.#callsAMs = (await this.#measured(FIRST_CALLS)) / 1_000
    const callsASecond = await this.#measured(Math.max(FIRST_CALLS, Math.round(this.#callsAMs * ms)))
    this.#callsAMs = callsASecond / 1_000
    // Of its own processor time nothing is known.
    return { rate: callsASecond * KEYS_A_CALL, cpuUs: Number.NaN, cores: Number.NaN }
  }

  async close(): Promise<void> {
    await this.#client?.quit()
  }

  async #measured(calls: number): Promise<number> {
    const { urls, products } = this.#ground!
    const missedBefore = await this.#missed()
    const keys = Array.from({ length: KEYS_A_CALL }, () => KEY)
    const args = ['-p', new URL(urls[0]!).port, '-n', String(calls), '-r', String(products), '--csv', 'MGET', ...keys]
    const output = await outputOf(this.#command, args)
    const missed = (await this.#missed()) - missedBefore
    // Others look for what is not there now and then.
    if (missed > (calls * KEYS_A_CALL) / 1_000) throw new Error(`${this.name}: needs every key to be there, but missed ${missed}`)
    const callsASecond = Number(/^"MGET[^\n]*?","([\d.]+)"/m.exec(output)?.[1])
    if (!(callsASecond > 0)) throw new Error(`${this.name}: needs calls a second, but got: ${output}`)
    return callsASecond
  }

  async #missed(): Promise<number> {
    return Number(/keyspace_misses:(\d+)/.exec(await this.#client!.info('stats'))?.[1])
  }
}

function onPath(names: readonly string[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path))
}

function outputOf(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 60_000 }, (error, stdout) => (error === null ? resolve(stdout) : reject(error)))
  })
}
