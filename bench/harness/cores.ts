/**
 * Which core a process runs on, where that is part of what is measured.
 *
 * A scheduler wakes a server on the core of the client that has written to it, where it waits for some milliseconds if the client is busy: with
 * two cores and two busy processes a measurement of latency would be one of that. Linux alone, by util-linux' `taskset`.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const CPUS = '/sys/devices/system/cpu'
const CLIENTS = 0

/**
 * A server with all its threads on one core, the client's main thread on another; threads that the
 * client has by now run where there is room, those that its main thread starts later on that one's core. For as long
 * as the two live. @returns why it could not be done, if it could not
 */
export function pinned(server: number, client: number): { readonly doubt: string | undefined } {
  try {
    const another = coreBeside(CLIENTS)
    taskset(['-cp', String(CLIENTS), String(client)])
    taskset(['-acp', String(another), String(server)])
    return { doubt: undefined }
  } catch (error) {
    return { doubt: `server and client may have shared a core: ${error instanceof Error ? error.message.split('\n')[0] : error}` }
  }
}

/** The first processor that is not a thread of the same core. */
function coreBeside(processor: number): number {
  const threads = listed(`${CPUS}/cpu${processor}/topology/thread_siblings_list`)
  const others = listed(`${CPUS}/online`).filter((each) => !threads.includes(each))
  if (others.length === 0) throw new Error(`needs two cores, but got: one, with ${threads.length} threads`)
  return others[0]!
}

/** As the kernel lists processors: `0-2,5`. */
function listed(file: string): number[] {
  const ranges = readFileSync(file, 'utf8').trim().split(',')
  return ranges.flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number) as [number, number?]
    return Array.from({ length: to - from + 1 }, (_, nth) => from + nth)
  })
}

function taskset(arguments_: readonly string[]): void {
  execFileSync('taskset', arguments_, { stdio: ['ignore', 'ignore', 'pipe'] })
}
