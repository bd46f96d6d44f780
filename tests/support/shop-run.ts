/**
 * The shop as a process that a test starts, listens to, ends, and then looks for what is left of.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Report } from '../../examples/shop/report/report.ts'

const CLEARED_WITHIN_MS = 8_000
export const MAIN = fileURLToPath(new URL('../../examples/shop/main.ts', import.meta.url))

export interface Run {
  readonly child: ChildProcess
  /** The folder in which the run makes its temporary files. */
  readonly folder: string
  /** The processes that it had when it said something that was waited for. */
  readonly pids: ReadonlySet<string>
  /** Resolves once stderr has said it. */
  said(text: string): Promise<void>
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

/** Runs the shop in a temporary folder of its own, so that what it leaves behind shows. */
export function run(t: TestContext, ...args: string[]): Run {
  return runAs(t, [process.execPath, '--conditions=ringtail-source', MAIN, ...args])
}

export function runAs(t: TestContext, [command, ...args]: [command: string, ...args: string[]]): Run {
  const pids = new Set<string>()
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-shop-run-'))
  // For root, the databases run as another user, who must get in.
  chmodSync(folder, 0o755)
  const child = spawn(command, args, {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  let stdout = ''
  let stderr = ''
  const heard = new EventTarget()
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    heard.dispatchEvent(new Event('said'))
  })
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const listen = () => {
        if (!stderr.includes(text)) return
        for (const { pid } of processesNaming(folder)) pids.add(pid)
        resolve()
      }
      heard.addEventListener('said', listen)
      void ended.then(() => reject(new Error(`it ended without saying "${text}": ${stderr}`)))
      listen()
    })
  return { child, folder, pids, said, ended }
}

/** Neither a file in its folder, nor a process that names it, nor shared memory. */
export function assertNothingLeft(run: Run): void {
  assert.deepEqual(leftBy(run), { files: [], processes: [], segments: [] })
}

/** The same, where the shop was killed and what it started ends by itself. */
export async function assertNothingLeftSoon(run: Run): Promise<void> {
  const untilMs = performance.now() + CLEARED_WITHIN_MS
  while (Object.values(leftBy(run)).some((left) => left.length > 0) && performance.now() < untilMs) await sleep(100)
  assertNothingLeft(run)
}

function leftBy({ folder, pids }: Run) {
  return {
    files: readdirSync(folder),
    processes: processesNaming(folder).map(({ command }) => command),
    segments: sharedMemory().filter(({ maker }) => pids.has(maker)),
  }
}

/** System V segments, such as PostgreSQL leaves when it is killed outright, and the processes that made them. */
function sharedMemory(): { id: string; maker: string }[] {
  if (process.platform !== 'linux') return []
  const [, ...lines] = readFileSync('/proc/sysvipc/shm', 'utf8').trim().split('\n')
  return lines.map((line) => line.trim().split(/\s+/)).map(([, id, , , maker]) => ({ id: id!, maker: maker! }))
}

export function processesNaming(folder: string): { pid: string; command: string }[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== `${process.pid}`)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        const names = `${command}${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(folder)
        return names ? [{ pid, command: command.replaceAll('\0', ' ') }] : []
      } catch {
        return []
      }
    })
}

export function assertWhole(report: Report): void {
  assert.equal(report.requests.failed, 0, report.troubles.join('\n'))
  assert.ok(report.requests.total > 20 && report.requests.reads > report.requests.writes)
  assert.equal(report.requests.total, report.requests.reads + report.requests.writes)
  assert.equal(report.availability, 1)
  assert.ok(report.hits.rate > 0 && report.hits.rate < 1)
  const { repeatRate, repeats } = report.hits
  // In a run of seconds a repeat or two may come while the page's fill is still on its way to the nodes.
  assert.ok(repeats * (1 - repeatRate) <= Math.max(2.5, repeats / 100), `repeatRate ${repeatRate} of ${repeats}`)
  assert.ok(report.latencyMs.hit.p50! > 0 && report.latencyMs.hit.p50! <= report.latencyMs.hit.p99! && report.latencyMs.miss.p50! > 0)
  assert.ok(report.database.queries > 0 && report.database.avoided > 0)
  assert.ok(report.stock.lowest >= 0)
  assert.equal(report.stock.unbalanced, 0)
  assert.deepEqual([report.orders.stored, report.orders.duplicated, report.orders.answeredOtherwise], [report.orders.accepted, 0, 0])
  assert.ok(Math.abs(report.nodes.reduce((sum, { share }) => sum + share, 0) - 1) < 0.01)
  for (const node of report.nodes) assert.ok(node.entries > 0 && node.usedBytes > 0 && node.engine !== '', JSON.stringify(node))
  for (const shard of report.shards) assert.ok(shard.rows > 0 && shard.queries > 0, JSON.stringify(shard))
  assert.deepEqual(
    report.improvement.map(({ operation }) => operation),
    ['product read', 'user profile', 'cart update'],
  )
  for (const { databaseMs, cacheMs, times } of report.improvement) assert.ok(databaseMs > 0 && cacheMs > 0 && times > 0)
  // What is avoided are statements: no more than one for each read that shoppers had answered, and the cart that each order reads.
  assert.ok(report.database.avoided <= report.requests.reads + report.requests.writes)
}
