/**
 * That an acknowledgement waits for the disk, by the system calls that a process makes; and what comes of it when they fail or are cut off.
 *
 * strace tells every call in its order, lets chosen ones fail, and kills the process at the n-th. Of each write it must hold: after it was tried
 * and before it was acknowledged the log was written to, and then synced. What was acknowledged is in the journal afterwards, whatever happened.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { JOURNAL_FILE, JournalFile } from '../../src/journal/journal-file.ts'

export interface SyncSetting {
  readonly directory: string
  readonly log: string
  readonly callers: number
  /** Writes of each caller. */
  readonly each: number
  readonly bytes: number
}

export interface SyncReport {
  readonly acknowledged: number
  readonly syncs: number
  readonly killedAt: number
  readonly wrong: readonly string[]
}

const WORKER = fileURLToPath(new URL('./sync-worker.ts', import.meta.url))
const MAX_BYTES = 100_000_000
const WITHIN_MS = 60_000

/** @returns why there is no strace here, or nothing */
export function whyNoStrace(): string | undefined {
  const tried = () => spawnSync('strace', ['-f', '-e', 'trace=fdatasync', 'true'], { encoding: 'utf8' })
  if (tried().error !== undefined) spawnSync('apt-get', ['install', '-y', '-qq', 'strace'], { stdio: 'ignore' })
  const { error, status, stderr } = tried()
  if (error !== undefined) return 'strace is not installed, and could not be'
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.trim().split('\n')[0]}`
}

/** @param kills how many of the first calls of each kind the process is killed at */
export async function traceSyncs(kills = 40): Promise<SyncReport> {
  const missing = whyNoStrace()
  if (missing !== undefined) throw new Error(missing)
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-syncs-'))
  try {
    const wrong: string[] = []
    const { acknowledged, syncs } = followed(folder, wrong)
    failing(folder, wrong)
    let killedAt = 0
    for (const call of ['pwrite64', 'fsync,fdatasync'])
      for (let nth = 1; nth <= kills; nth++) if (killed(folder, call, nth, wrong)) killedAt++
    return { acknowledged, syncs, killedAt, wrong }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Every write is between its trial and its acknowledgement on the disk. */
function followed(folder: string, wrong: string[]): { acknowledged: number; syncs: number } {
  const setting = settingOf(folder, { callers: 16, each: 12 })
  const trace = join(folder, 'trace')
  strace(['-f', '-y', '-s', '40', '-e', 'trace=pwrite64,fdatasync,fsync,write', '-o', trace], setting)
  const tried = new Map<string, number>()
  /** The log was written to, and then synced, since the n-th event. */
  let wrote = -1
  let durable = -1
  let acknowledged = 0
  let syncs = 0
  const unfinished = new Map<string, number>()
  for (const [at, line] of readFileSync(trace, 'utf8').split('\n').entries()) {
    const thread = line.split(' ', 1)[0]!
    const said = /"(try|ok) (\d+)\\n"/.exec(line)
    if (said?.[1] === 'try') tried.set(said[2]!, at)
    else if (said?.[1] === 'ok') {
      acknowledged++
      if (durable <= tried.get(said[2]!)!) wrong.push(`write ${said[2]} was acknowledged before it was on the disk`)
    } else if (line.includes('pwrite64(') && line.includes(`${JOURNAL_FILE}-wal`)) wrote = at
    else if (/\bf(?:data)?sync\(/.test(line) && line.includes(`${JOURNAL_FILE}-wal`)) {
      if (line.includes('<unfinished')) unfinished.set(thread, wrote)
      else if (/= 0$/.test(line)) [durable, syncs] = [wrote, syncs + 1]
    } else if (/f(?:data)?sync resumed/.test(line) && unfinished.has(thread)) {
      if (/= 0$/.test(line)) [durable, syncs] = [unfinished.get(thread)!, syncs + 1]
      unfinished.delete(thread)
    }
  }
  if (acknowledged !== 16 * 12) wrong.push(`${acknowledged} of ${16 * 12} writes were acknowledged`)
  return { acknowledged, syncs }
}

/** After a sync that failed nothing more is acknowledged; what was acknowledged before is there. */
function failing(folder: string, wrong: string[]): void {
  const setting = settingOf(folder, { callers: 4, each: 20 })
  strace(['-f', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO:when=8+'], setting)
  const lines = linesOf(setting)
  const firstNo = lines.findIndex((line) => /^no \d+ broken$/.test(line))
  if (firstNo < 0) wrong.push('a sync that failed was not told of')
  if (lines.slice(firstNo).some((line) => line.startsWith('ok'))) wrong.push('a write was acknowledged after a sync had failed')
  compare(setting, 'after a sync that failed', wrong)
}

/** @returns whether there was an n-th call */
function killed(folder: string, call: string, nth: number, wrong: string[]): boolean {
  const setting = settingOf(folder, { callers: 2, each: 15 })
  strace(['-f', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${nth}`], setting)
  compare(setting, `killed at ${call} ${nth}`, wrong)
  return !linesOf(setting).includes('closed')
}

function compare(setting: SyncSetting, what: string, wrong: string[]): void {
  const { file, recovered } = JournalFile.open(setting.directory, MAX_BYTES)
  file.close()
  const held = new Set(recovered.records.map(({ version }) => String(version)))
  for (const line of linesOf(setting)) {
    const [, id] = /^ok (\d+)$/.exec(line) ?? []
    if (id !== undefined && !held.has(id)) wrong.push(`${what}: write ${id} was acknowledged, and is not in the journal`)
  }
}

function settingOf(folder: string, { callers, each }: Pick<SyncSetting, 'callers' | 'each'>): SyncSetting {
  const directory = join(folder, 'journal')
  const log = join(folder, 'log')
  rmSync(directory, { recursive: true, force: true })
  rmSync(log, { force: true })
  return { directory, log, callers, each, bytes: 200 }
}

function linesOf({ log }: SyncSetting): string[] {
  return existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []
}

function strace(options: readonly string[], setting: SyncSetting): void {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const command = [process.execPath, '--conditions=ringtail-source', WORKER, JSON.stringify(setting)]
  spawnSync('strace', [...options, '--', ...command], { stdio: ['ignore', 'ignore', 'ignore'], timeout: WITHIN_MS, env })
}
