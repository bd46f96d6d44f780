/**
 * Which core a process runs on, where that is part of what is measured.
 *
 * A scheduler wakes a server on the core of the client that has written to it, where it waits for some milliseconds if the client is busy: with
 * two cores and two busy processes a measurement of latency would be one of that. Linux alone, by util-linux' `taskset`.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * A server with all its threads on one core, the client's main thread on another; threads that the
 * client has by now run where there is room, those that its main thread starts later on that one's core. For as long
 * as the two live. @returns why it could not be done, or not well, if so
 */
export function pinned(server: number, client: number): { readonly doubt: string | undefined } {
  try {
    const [own, ...others] = allowed()
    if (own === undefined || others.length === 0) throw new Error('needs two processors, but got: one')
    const threads = threadsBeside(own)
    const another = others.find((each) => !threads.includes(each))
    taskset(['-cp', String(own), String(client)])
    taskset(['-acp', String(another ?? others[0]), String(server)])
    return { doubt: another === undefined ? 'server and client shared a core: each had one of its threads' : undefined }
  } catch (error) {
    return { doubt: `server and client may have shared a core: ${error instanceof Error ? error.message.split('\n')[0] : error}` }
  }
}

/** The processors that this process may use. */
function allowed(): number[] {
  return listed(/^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0')
}

/** The processors that are threads of the same core as this one, with it. */
function threadsBeside(processor: number): number[] {
  try {
    return listed(readFileSync(`/sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`, 'utf8'))
  } catch {
    return [processor]
  }
}

/** As the kernel lists processors: `0-2,5`. */
function listed(processors: string): number[] {
  const ranges = processors.trim().split(',')
  return ranges.flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number) as [number, number?]
    return Array.from({ length: to - from + 1 }, (_, nth) => from + nth)
  })
}

function taskset(arguments_: readonly string[]): void {
  execFileSync('taskset', arguments_, { stdio: ['ignore', 'ignore', 'pipe'] })
}
