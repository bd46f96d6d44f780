/**
 * Which core a process runs on, where that is part of what is measured.
 *
 * A scheduler wakes a server on the core of the client that has written to it, where it waits for some milliseconds if the client is busy: with
 * two cores and two busy processes a measurement of latency would be one of that. Linux alone, by util-linux' `taskset`.
 */
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/**
 * A server with all its threads on one core, the client's main thread on another; threads that the
 * client has by now run where there is room, those that its main thread starts later on that one's core. For as long
 * as the two live. @returns why it could not be done, if it could not
 */
export function pinned(server: number, client: number): { readonly doubt: string | undefined } {
  try {
    if (availableParallelism() < 2) throw new Error('needs two cores, but got: 1')
    taskset(['-cp', '0', String(client)])
    taskset(['-acp', '1', String(server)])
    return { doubt: undefined }
  } catch (error) {
    return { doubt: `server and client may have shared a core: ${error instanceof Error ? error.message.split('\n')[0] : error}` }
  }
}

function taskset(arguments_: readonly string[]): void {
  execFileSync('taskset', arguments_, { stdio: ['ignore', 'ignore', 'pipe'] })
}
