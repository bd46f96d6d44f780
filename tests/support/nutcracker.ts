/**
 * A real twemproxy (`nutcracker`) in front of given servers, for tests that compare placements with it. Always stopped, also on failure.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'

export interface ProxiedServer {
  /** Default 127.0.0.1. */
  readonly host?: string
  readonly port: number
  /** Default 1. */
  readonly weight?: number
  /** What ketama hashes instead of `host:port`. */
  readonly name?: string
}

export interface NutcrackerOptions {
  /** twemproxy's `hash_tag`. Default: none. */
  readonly hashTag?: string | undefined
}

export interface Nutcracker {
  readonly port: number
  /** A client that sends nothing that twemproxy does not know. */
  client(): Redis
  close(): Promise<void>
}

const START_WITHIN_MS = 10_000
/** How often a port that looked free may turn out taken: others look for ports too. */
const PORT_TRIES = 5

/** Runs nutcracker with `distribution: ketama` and `hash: md5` on a free loopback port; resolves once it answers. */
export async function startNutcracker(servers: readonly ProxiedServer[], options: NutcrackerOptions = {}): Promise<Nutcracker> {
  for (let tries = 1; ; tries++) {
    const proxy = await RunningNutcracker.spawned(servers, options)
    try {
      await proxy.answering()
      return proxy
    } catch (error) {
      const log = await proxy.log()
      await proxy.close()
      if (tries < PORT_TRIES && log.includes('Address already in use')) continue
      throw new Error(`${(error as Error).message}\n${log}`, { cause: error })
    }
  }
}

class RunningNutcracker implements Nutcracker {
  readonly port: number
  readonly #folder: string
  readonly #proxy: ChildProcess
  /** Waits on a pipe from us, which the system closes however we end; then it ends the proxy. */
  readonly #mourner: ChildProcess
  readonly #clients: Redis[] = []
  #failure: Error | undefined

  static async spawned(servers: readonly ProxiedServer[], options: NutcrackerOptions): Promise<RunningNutcracker> {
    const folder = await mkdtemp(join(tmpdir(), 'ringtail-nutcracker-'))
    const [port, statsPort] = await freePorts(2)
    await writeFile(join(folder, 'nutcracker.yml'), configuration(port!, servers, options))
    return new RunningNutcracker(folder, port!, statsPort!)
  }

  private constructor(folder: string, port: number, statsPort: number) {
    this.#folder = folder
    this.port = port
    const args = [
      '--conf-file',
      'nutcracker.yml',
      '--output',
      'nutcracker.log',
      '--stats-port',
      String(statsPort),
      '--stats-addr',
      '127.0.0.1',
    ]
    // Debian keeps it where only root's PATH looks.
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
    this.#proxy = spawn('nutcracker', args, { cwd: folder, stdio: 'ignore', env })
    this.#proxy.once('error', (error: NodeJS.ErrnoException) => {
      const missing = 'nutcracker: needs the twemproxy program on the PATH, but found none. Install the Debian package nutcracker.'
      this.#failure = error.code === 'ENOENT' ? new Error(missing) : error
    })
    this.#proxy.once('exit', (code, signal) => {
      this.#failure ??= new Error(`nutcracker ended with ${code ?? signal}`)
    })
    const mourn = 'read -r _; [ "$1" -gt 1 ] && kill -9 "$1"; rm -rf -- "$2"'
    const mournerArgs = ['-c', mourn, 'sh', String(this.#proxy.pid ?? -1), folder]
    this.#mourner = spawn('/bin/sh', mournerArgs, { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  }

  async answering(): Promise<void> {
    const untilMs = performance.now() + START_WITHIN_MS
    while (!(await answers(this.port))) {
      if (performance.now() > untilMs) throw new Error(`nutcracker did not answer within ${START_WITHIN_MS} ms`)
      await delay(10)
      if (this.#failure !== undefined) throw this.#failure
    }
    // Whoever answers may be another that took the port: ours then ends at once.
    await delay(20)
    if (this.#failure !== undefined) throw this.#failure
  }

  log(): Promise<string> {
    return readFile(join(this.#folder, 'nutcracker.log'), 'utf8').catch(() => '')
  }

  client(): Redis {
    const client = new Redis({ host: '127.0.0.1', port: this.port, protocol: 2, enableReadyCheck: false, disableClientInfo: true })
    this.#clients.push(client)
    return client
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    if (this.#failure === undefined) {
      const gone = once(this.#proxy, 'exit')
      this.#proxy.kill('SIGKILL')
      await gone
    }
    this.#mourner.kill('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function configuration(port: number, servers: readonly ProxiedServer[], { hashTag }: NutcrackerOptions): string {
  const lines = ['pool:', `  listen: 127.0.0.1:${port}`, '  redis: true', '  distribution: ketama', '  hash: md5', '  preconnect: true']
  if (hashTag !== undefined) lines.push(`  hash_tag: "${hashTag}"`)
  lines.push('  servers:')
  for (const { host = '127.0.0.1', port, weight = 1, name } of servers) {
    lines.push(`   - ${host}:${port}:${weight}${name === undefined ? '' : ` ${name}`}`)
  }
  return `${lines.join('\n')}\n`
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Held open together while they are looked for, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const probes = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(probes.map((probe) => once(probe, 'listening')))
  const ports = probes.map((probe) => (probe.address() as { port: number }).port)
  await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))))
  return ports
}
