/**
 * Processes that a test file has left running.
 *
 * A test file runs as the leader of a session of its own with a temporary folder of its own; what belongs to that session, or works in,
 * names or was handed that folder, after the file has ended was left by it. Read from /proc, hence on Linux only; elsewhere nothing is found.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface LeftProcess {
  readonly pid: number
  readonly command: string
}

/** A server that was told to end needs a moment. */
const PATIENCE_MS = 2_000
const STEP_MS = 50

/** @param session the pid of the session's leader @returns what still runs after a moment's patience */
export async function processesLeftBy(session: number, folder: string): Promise<LeftProcess[]> {
  for (let waitedMs = 0; ; waitedMs += STEP_MS) {
    const left = processesNow(session, folder)
    if (left.length === 0 || waitedMs >= PATIENCE_MS) {
      return left
    }
    await sleep(STEP_MS)
  }
}

export async function endProcesses(processes: readonly LeftProcess[]): Promise<void> {
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  if (processes.length > 0) {
    await sleep(STEP_MS)
  }
}

/** A process of another user's keeps its environment to itself. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return ''
  }
}

function processesNow(session: number, folder: string): LeftProcess[] {
  const found: LeftProcess[] = []
  for (const name of process.platform === 'linux' ? readdirSync('/proc') : []) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) {
      continue
    }
    try {
      // "pid (name) state ppid pgrp session …", and the name may hold anything.
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      const workFolder = readlinkSync(`/proc/${name}/cwd`)
      const isOurs =
        Number(fields[3]) === session ||
        workFolder === folder ||
        workFolder.startsWith(`${folder}/`) ||
        readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(folder) ||
        environmentOf(name).includes(`TMPDIR=${folder}\0`)
      if (isOurs && fields[0] !== 'Z') {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        found.push({ pid: Number(name), command })
      }
    } catch {
      // It has ended meanwhile, or is another user's.
    }
  }
  return found
}
