/**
 * One share of the processor for all processes of a server, where the machine can do that (control groups, which only root may make).
 *
 * Linux shares the processor evenly between sessions. Each backend of PostgreSQL is a session of its own, so that fifty that start at once have fifty
 * times as much of it as whoever tests the server, and stand for a machine that nobody would run clients on.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PROCESSES = 'cgroup.procs'

export class ProcessorShare {
  readonly #pid: number
  /** Where the process was found; undefined where there are no control groups. */
  readonly #usual: string | undefined
  readonly #own: string

  /** @param pid of the process that starts the others */
  constructor(pid: number) {
    this.#pid = pid
    this.#usual = groupOf(pid)
    this.#own = join(this.#usual ?? '', `ringtail-${pid}`)
  }

  /** @param isOne whether what the process starts from now on has one share with it, or shares of their own. Harmless where nothing can be done. */
  set(isOne: boolean): void {
    if (this.#usual === undefined) return
    try {
      if (isOne && !existsSync(this.#own)) mkdirSync(this.#own)
      if (isOne || existsSync(this.#own)) writeFileSync(join(isOne ? this.#own : this.#usual, PROCESSES), String(this.#pid), { flag: 'r+' })
    } catch {
      this.remove()
    }
  }

  /** Once its processes have ended. */
  remove(): void {
    try {
      rmdirSync(this.#own)
    } catch {}
  }
}

/** The folder of the process's control group for the processor. */
function groupOf(pid: number): string | undefined {
  try {
    const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')
    const found = lines
      .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
      .find((match) => match !== null && (match[1] === '' || match[1]!.split(',').includes('cpu')))
    if (found == null) return undefined
    const [, controllers = '', path = '/'] = found
    const folder = join('/sys/fs/cgroup', controllers, path)
    return existsSync(join(folder, PROCESSES)) ? folder : undefined
  } catch {
    return undefined
  }
}
