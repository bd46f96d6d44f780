import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startRedisServer } from 'ringtail/testing'
import { startPostgresServers } from './database/postgres-servers.ts'
import { connectShards, disconnectShards, SCHEMA } from './database/shards.ts'
import { UndoStack } from './lifecycle/undo.ts'
import type { Report } from './report/report.ts'

const CLEARED_WITHIN_MS = 8_000
const LATER_THAN_THE_SAME_KEY_MS = 700
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

interface Run {
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
function run(t: TestContext, ...args: string[]): Run {
  return runAs(t, [process.execPath, '--conditions=ringtail-source', MAIN, ...args])
}

function runAs(t: TestContext, [command, ...args]: [command: string, ...args: string[]]): Run {
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
function assertNothingLeft(run: Run): void {
  assert.deepEqual(leftBy(run), { files: [], processes: [], segments: [] })
}

/** The same, where the shop was killed and what it started ends by itself. */
async function assertNothingLeftSoon(run: Run): Promise<void> {
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

function processesNaming(folder: string): { pid: string; command: string }[] {
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

function assertWhole(report: Report): void {
  assert.equal(report.requests.failed, 0, report.troubles.join('\n'))
  assert.ok(report.requests.total > 20 && report.requests.reads > report.requests.writes)
  assert.equal(report.requests.total, report.requests.reads + report.requests.writes)
  assert.equal(report.availability, 1)
  assert.ok(report.hits.rate > 0 && report.hits.rate < 1)
  assert.ok(report.hits.repeatRate >= 0.99, `repeatRate ${report.hits.repeatRate}`)
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

test('the shop runs on its own, tells one JSON object on stdout, and leaves nothing behind', async (t) => {
  const shop = run(t, '--for', '3s', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assertWhole(report)
  assert.equal(report.nodes.length, 5)
  assert.equal(report.shards.length, 3)
  assert.deepEqual(report.catalogue, { products: 5_000, rejected: 0, generated: 5_000 })
  assertNothingLeft(shop)
})

test('at a low rate it keeps to it, and does not wait for its shoppers to end', async (t) => {
  const shop = run(t, '--for', '4s', '--rate', '5', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assert.ok(report.requests.total >= 10 && report.requests.total <= 22, `${report.requests.total}`)
  assert.ok(report.seconds < 8)
})

test('Ctrl-C while it runs ends it with its report, and leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '100')
  await shop.said('00:05')
  shop.child.kill('SIGINT')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  assertWhole(JSON.parse(stdout) as Report)
  assertNothingLeft(shop)
})

for (const [signal, code, moment] of [
  ['SIGINT', 130, 'generated reads and orders'],
  ['SIGTERM', 143, 'databases'],
] as const) {
  test(`${signal} in the middle of start-up ends it with ${code} and leaves nothing behind`, async (t) => {
    const shop = run(t, '--json')
    await shop.said(moment)
    shop.child.kill(signal)
    const ended = await shop.ended
    assert.equal(ended.code, code, ended.stderr)
    assert.equal(ended.stdout, '')
    assert.match(ended.stderr, /^stopped$/m)
    assertNothingLeft(shop)
  })
}

test('killed outright while it runs, it leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '50')
  await shop.said('00:05')
  shop.child.kill('SIGKILL')
  await shop.ended
  await assertNothingLeftSoon(shop)
})

test('a second Ctrl-C, while the first is being followed, ends it at once and leaves nothing behind', async (t) => {
  const shop = run(t, '--json', '--rate', '50')
  await shop.said('00:05')
  // Shoppers that do not answer any more: the orderly stop waits for them, and the second Ctrl-C comes in the middle of it.
  const shoppers = processesNaming(shop.folder).find(({ command }) => command.includes('shopper-process'))
  process.kill(Number(shoppers!.pid), 'SIGSTOP')
  shop.child.kill('SIGINT')
  await sleep(LATER_THAN_THE_SAME_KEY_MS)
  shop.child.kill('SIGINT')
  const { code, stderr } = await shop.ended
  assert.equal(code, 130, stderr)
  assert.doesNotMatch(stderr, /left to stop/)
  await assertNothingLeftSoon(shop)
})

test('when the process that started it is killed, it ends as if told to, and leaves nothing behind', async (t) => {
  const shop = runAs(t, [
    '/bin/sh',
    '-c',
    '"$@"; exit $?',
    'sh',
    process.execPath,
    '--conditions=ringtail-source',
    MAIN,
    '--json',
    '--rate',
    '50',
  ])
  await shop.said('00:05')
  shop.child.kill('SIGKILL')
  const { stdout, stderr } = await shop.ended
  assertWhole(JSON.parse(stdout) as Report)
  assert.doesNotMatch(stderr, /left to stop/)
  await assertNothingLeftSoon(shop)
})

test('when nobody listens any more it ends without a word', async (t) => {
  const shop = run(t, '--rate', '50')
  shop.child.stdout?.destroy()
  const { code, stderr } = await shop.ended
  assert.equal(code, 141, stderr)
  assertNothingLeft(shop)
})

test('a wrong option or file ends it with 2 and one clear message, before or after things were started', async (t) => {
  const wrong: [args: string[], told: RegExp][] = [
    [['--rate', 'fast'], /^--rate: needs requests per second/],
    [['--catalogue', '/no/such/file'], /^--catalogue: needs a file that can be read, but got: \/no\/such\/file \(there is no such file\)/m],
    [['--reads', MAIN], /--reads .*: needs CSV with the header "type,id,idx" or "key"/],
    [['--database', 'postgres://127.0.0.1:1/none'], /--database: needs databases that answer/],
    [['--nodes', 'redis://127.0.0.1:1', '--replicas', '1'], /--nodes: needs nodes that answer/],
  ]
  for (const [args, told] of wrong) {
    const shop = run(t, ...args, '--json')
    const { code, stdout, stderr } = await shop.ended
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, told)
    assert.doesNotMatch(stderr, / {4}at /)
    assertNothingLeft(shop)
  }
})

test('it runs on nodes and databases that are given, and leaves both as they were', async (t) => {
  const undo = new UndoStack()
  t.after(() => undo.run())
  const servers = await Promise.all([1, 2].map(() => startRedisServer({ maxMemory: 32 * 2 ** 20 })))
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  const databases = await startPostgresServers(2, undo, new AbortController().signal)
  const given = ['--nodes', servers.map(({ url }) => url).join(','), '--replicas', '2', '--database', databases.join(',')]
  const shop = run(t, ...given, '--for', '3s', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assertWhole(report)
  assert.deepEqual([report.nodes.length, report.shards.length], [2, 2])
  assertNothingLeft(shop)

  const shards = connectShards(databases)
  undo.add({ what: 'connections', stop: () => disconnectShards(shards) })
  for (const { aside } of shards) {
    const { rows } = await aside.query('select 1 from pg_namespace where nspname = $1', [SCHEMA])
    assert.equal(rows.length, 0)
    await aside.query(`create schema ${SCHEMA}`)
  }
  const again = await run(t, ...given, '--for', '1s', '--json').ended
  assert.equal(again.code, 2)
  assert.match(again.stderr, /--database: needs a database without a schema ringtail_shop/)
  const { rows } = await shards[0]!.aside.query('select 1 from pg_namespace where nspname = $1', [SCHEMA])
  assert.equal(rows.length, 1)
})
