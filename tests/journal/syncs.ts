/**
 * That an acknowledgement waits for the disk, by the system calls that a process makes; and what comes of it when they fail or are cut off.
 *
 * strace tells every call in its order, lets chosen ones fail, and kills the process at the n-th. Of each write it must hold: before it was
 * acknowledged, the group that has its body was written to the log up to its commit mark, and then synced. What was acknowledged is in the
 * journal afterwards, whatever happened.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { JOURNAL_FILE } from '../../src/journal/journal-directory.ts'
import { JournalFile } from '../../src/journal/journal-file.ts'

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

/** A frame's header, which is written before its page. */
const FRAME_HEADER_BYTES = 24

/** Every write's own group is on the disk before it is acknowledged. */
function followed(folder: string, wrong: string[]): { acknowledged: number; syncs: number } {
  const setting = settingOf(folder, { callers: 16, each: 12 })
  const trace = join(folder, 'trace')
  strace(['-f', '-y', '-xx', '-s', '5000', '-e', 'trace=pwrite64,fdatasync,fsync,write', '-o', trace], setting)
  const groups = new Groups()
  let acknowledged = 0
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const data = bytesIn(/"([^"]*)"/, line)
    const [, said] = /^ok (\d+)\n$/.exec(data.toString('latin1')) ?? []
    if (said !== undefined) {
      acknowledged++
      if (!groups.isDurable(said)) wrong.push(`write ${said} was acknowledged before its group was on the disk`)
    } else
      groups.see(
        line,
        data,
        bytesIn(/<([^>]*)>/, line)
          .toString()
          .endsWith(`${JOURNAL_FILE}-wal`),
      )
  }
  if (acknowledged !== 16 * 12) wrong.push(`${acknowledged} of ${16 * 12} writes were acknowledged`)
  return { acknowledged, syncs: groups.syncs }
}

/** What strace tells in hexadecimal. */
function bytesIn(where: RegExp, line: string): Buffer {
  return Buffer.from((where.exec(line)?.[1] ?? '').replaceAll('\\x', ''), 'hex')
}

/** The groups in the log, by the calls that write it. */
class Groups {
  syncs = 0
  /** Those of which the commit mark was written, and those that were synced after it. */
  #written = 0
  #synced = 0
  #isLastPage = false
  /** In which group each write's body is. */
  readonly #groupOf = new Map<string, number>()
  /** By thread: what was written when a sync began that has not come back. */
  readonly #syncing = new Map<string, number>()

  see(line: string, data: Buffer, isLog: boolean): void {
    const thread = line.split(' ', 1)[0]!
    if (isLog && line.includes('pwrite64(')) this.#write(data)
    else if (isLog && /\bf(?:data)?sync\(/.test(line)) {
      if (line.includes('<unfinished')) this.#syncing.set(thread, this.#written)
      else this.#sync(line, this.#written)
    } else if (/f(?:data)?sync resumed/.test(line) && this.#syncing.has(thread)) {
      this.#sync(line, this.#syncing.get(thread)!)
      this.#syncing.delete(thread)
    }
  }

  isDurable(id: string): boolean {
    return (this.#groupOf.get(id) ?? Number.POSITIVE_INFINITY) < this.#synced
  }

  #write(data: Buffer): void {
    if (data.length === FRAME_HEADER_BYTES) {
      this.#isLastPage = data.readUInt32BE(4) !== 0
      return
    }
    // A page is written again for later groups.
    for (const [, id] of data.toString('latin1').matchAll(/#(\d+)#/g)) if (!this.#groupOf.has(id!)) this.#groupOf.set(id!, this.#written)
    if (this.#isLastPage) this.#written++
    this.#isLastPage = false
  }

  #sync(line: string, written: number): void {
    if (!/= 0$/.test(line)) return
    this.#synced = Math.max(this.#synced, written)
    this.syncs++
  }
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
