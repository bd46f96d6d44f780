/**
 * A contestant in a process of its own, as seen from the process that conducts the benchmark.
 *
 * An application uses one of these libraries, not seven: in one process their garbage, compiled code and hooks would be everybody's. So
 * each is opened in a process of the same make (`contestant-main.ts`), does nothing until it is told to run, and ends with the conductor.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Measure } from './closed-loop.ts'
import type { Ground } from './contestant.ts'
import type { Entrant, Opened } from './entrant.ts'

/** What the conductor asks; answered in order by one `Answer` each. */
export type Order =
  | { readonly do: 'open'; readonly peer: string; readonly ground: Ground }
  | { readonly do: 'run'; readonly workload: string; readonly ms: number }
  | { readonly do: 'task'; readonly task: string; readonly args: unknown }

export type Answer = { readonly opened: Opened } | { readonly measure: Measure } | { readonly done: unknown } | { readonly failed: string }

const MAIN = fileURLToPath(new URL('./contestant-main.ts', import.meta.url))
/** Compiled code of earlier runs: most of what a process does until it is open. It says nothing of how the code runs once it is warm. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/ringtail-bench', import.meta.url))
/** Beyond the time that was asked for, ms. */
const PATIENCE_MS = 30_000
/** A write-behind cache brings first to its store what is pending. */
const CLOSE_WITHIN_MS = 20_000

export class ContestantProcess implements Entrant {
  readonly name: string
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  /** @param name of the line-up @param flags of Node */
  constructor(name: string, flags: readonly string[] = []) {
    this.name = name
    // Whatever a library prints goes to standard error: standard output is the report's.
    this.#child = fork(MAIN, {
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
      execArgv: [...process.execArgv, ...flags],
      env: { NODE_COMPILE_CACHE: COMPILED, ...process.env },
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', () => resolve()))
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error(`${this.name}: its process did not start`)
    return pid
  }

  async open(ground: Ground): Promise<Opened> {
    const answer = await this.#ask({ do: 'open', peer: this.name, ground }, PATIENCE_MS)
    if (!('opened' in answer)) throw this.#unexpected(answer)
    return answer.opened
  }

  async run(workload: string, ms: number): Promise<Measure> {
    const answer = await this.#ask({ do: 'run', workload, ms }, ms + PATIENCE_MS)
    if (!('measure' in answer)) throw this.#unexpected(answer)
    return answer.measure
  }

  /** @param task by its name in the line-up @param ms how long it may take, at least; 30 s more are borne */
  async do<R>(task: string, args: unknown, ms: number): Promise<R> {
    const answer = await this.#ask({ do: 'task', task, args }, ms + PATIENCE_MS)
    if (!('done' in answer)) throw this.#unexpected(answer)
    return answer.done as R
  }

  /** Lets it close its connections, and makes sure that it is gone. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_WITHIN_MS)
    await this.#ended
    clearTimeout(impatience)
  }

  #ask(order: Order, withinMs: number): Promise<Answer> {
    const child = this.#child
    return new Promise((resolve, reject) => {
      const answered = (answer: unknown): void => {
        done()
        resolve(answer as Answer)
      }
      const gone = (): void => failed('its process ended')
      const failed = (reason: string): void => {
        done()
        reject(new Error(`${this.name}: ${reason}`))
      }
      const timer = setTimeout(() => failed(`no answer to '${order.do}' within ${withinMs} ms`), withinMs)
      const done = (): void => {
        clearTimeout(timer)
        child.off('message', answered)
        child.off('exit', gone)
      }
      child.on('message', answered)
      child.on('exit', gone)
      child.send(order, (error) => {
        if (error !== null) failed(error.message)
      })
    })
  }

  #unexpected(answer: Answer): Error {
    return new Error(`${this.name}: ${'failed' in answer ? answer.failed : `got ${JSON.stringify(answer)}`}`)
  }
}
