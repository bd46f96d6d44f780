/**
 * One share of the processor for all processes of a server, where the machine can do that (control groups, which only root may make).
 *
 * Linux shares the processor evenly between sessions. Each backend of PostgreSQL is a session of its own, so that fifty that start at once have fifty
 * times as much of it as whoever tests the server, and stand for a machine that nobody would run clients on.
 */
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** With `cpu.shares`, and without. */
const ROOTS = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup']

/** @param pid of the process, with what it starts from now on @returns puts things back, once those processes have ended; harmless where nothing could be done */
export function oneShareFor(pid: number): () => void {
  for (const root of ROOTS) {
    const group = join(root, `ringtail-${pid}`)
    try {
      mkdirSync(group)
    } catch {
      continue
    }
    try {
      // Only where it is a control group, which has that file from its beginning.
      writeFileSync(join(group, 'cgroup.procs'), String(pid), { flag: 'r+' })
      return () => remove(group)
    } catch {
      remove(group)
    }
  }
  return () => {}
}

/** Its processes may not quite be gone: then it is left, empty. */
function remove(group: string): void {
  try {
    rmdirSync(group)
  } catch {}
}
