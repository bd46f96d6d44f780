/**
 * A real Redis or Valkey server for a test, a demo or a benchmark, never left behind.
 *
 * `startRedisServer()` runs the `redis-server` or `valkey-server` found on the PATH on a free loopback port, in a folder of its own, without
 * persistence, and resolves once it answers. However the process that started it ends, the server ends too and its folder goes: `stop()` in
 * the ordinary case, an exit handler when it throws or leaves without stopping, and when it is killed outright a one-line shell that waits
 * on a pipe from it, which the system closes with it.
 *
 * It runs processes and so lives in real time: the one place under `testing/` that uses `systemClock`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { accessSync, closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { systemClock } from '../clock.ts'
import { ConfigurationError, UnavailableError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'

export interface RedisServerOptions {
  /** A loopback address. Default: 127.0.0.1. */
  readonly host?: string
  /** Default: a free one. */
  readonly port?: number
  /** More of the server's own arguments: `['--requirepass', 'secret']`. */
  readonly args?: readonly string[]
  /** Bytes the data may take. Default: no limit. */
  readonly maxMemory?: number
  /** What to evict when it is full. Default: `volatile-lfu`, which is what a Ringtail node needs. */
  readonly policy?: string
  /** The server to run. Default: what `findRedisServer` finds. */
  readonly engineCommand?: string
}

export interface RedisServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly engine: 'redis' | 'valkey'
  readonly version: string
  /** Ends it in order and waits until it is gone. Harmless when it already is. */
  stop(): Promise<void>
  /** SIGKILL, and waits until it is gone: a machine that lost its power. */
  kill(): Promise<void>
  /** SIGSTOP: it keeps its connections and answers nothing. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

/** How long a server may take to answer its first PING. */
const START_WITHIN_MS = 10_000
/** How long a server may take to end in order before it is killed. */
const STOP_WITHIN_MS = 2_000
/** How often a port that looked free may turn out taken: others look for ports too. */
const PORT_TRIES = 5

/** @returns the path of `redis-server` or else `valkey-server` on the PATH, if there is one */
export function findRedisServer(): string | undefined {
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      if (folder === '') continue
      const path = join(folder, name)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // not in this folder
      }
    }
  }
  return undefined
}

/** @throws UnavailableError when there is no server to run, or it does not answer; its log is in the message */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  knownOptions(options, 'redis server', ['host', 'port', 'args', 'maxMemory', 'policy', 'engineCommand'])
  if (options.port !== undefined) wholeNumber(options.port, 'redis server: port', 1, 65_535)
  if (options.maxMemory !== undefined) wholeNumber(options.maxMemory, 'redis server: maxMemory', 0)
  const command = options.engineCommand ?? findRedisServer()
  if (command === undefined) {
    throw new UnavailableError(
      'redis server: needs redis-server or valkey-server on the PATH, but found neither. Install the Debian/Ubuntu package redis-server or valkey-server.',
    )
  }
  const { engine, version } = engineOf(command)
  const host = options.host ?? '127.0.0.1'
  for (let tries = 1; ; tries++) {
    const port = options.port ?? (await freePort(host))
    const running = new RunningServer(command, port, options)
    try {
      await running.answering()
    } catch (thrown) {
      await running.end('SIGKILL')
      const taken = options.port === undefined && running.log.includes('Address already in use') && tries < PORT_TRIES
      if (taken) continue
      throw thrown
    }
    return {
      url: `redis://${host}:${port}`,
      port,
      pid: running.pid,
      engine,
      version,
      stop: () => running.end('SIGTERM'),
      kill: () => running.end('SIGKILL'),
      pause: () => running.signal('SIGSTOP'),
      resume: () => running.signal('SIGCONT'),
    }
  }
}

const running = new Set<RunningServer>()
let watchingExit = false

class RunningServer {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #mourner: ChildProcess
  readonly #folder: string
  readonly #host: string
  readonly #port: number
  readonly #gone: Promise<void>
  #isGone = false
  log = ''

  constructor(command: string, port: number, options: RedisServerOptions) {
    this.#host = options.host ?? '127.0.0.1'
    this.#port = port
    this.#folder = mkdtempSync(join(tmpdir(), 'ringtail-redis-'))
    const output = openSync(join(this.#folder, 'server.log'), 'a')
    // Detached: a Ctrl-C in the terminal is for the process that started it, which then stops it in its own order.
    this.#child = spawn(command, argumentsOf(this.#host, port, this.#folder, options), {
      stdio: ['ignore', output, output],
      detached: true,
    })
    closeSync(output)
    this.pid = this.#child.pid ?? -1
    this.#child.unref()
    this.#gone = new Promise((resolve) => {
      const left = () => {
        this.#left()
        resolve()
      }
      this.#child.once('exit', left)
      this.#child.once('error', (error) => {
        this.log += `${error.message}\n`
        left()
      })
    })
    this.#mourner = spawn(
      '/bin/sh',
      ['-c', 'read -r _; [ "$1" -gt 1 ] && kill -9 "$1"; rm -rf -- "$2"', 'sh', String(this.pid), this.#folder],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
        detached: true,
      },
    )
    this.#mourner.on('error', () => {})
    this.#mourner.unref()
    ;(this.#mourner.stdin as unknown as { unref(): void }).unref()
    running.add(this)
    if (!watchingExit) {
      watchingExit = true
      process.on('exit', () => {
        for (const each of running) each.#endNow()
      })
    }
  }

  async answering(): Promise<void> {
    const untilMs = systemClock.monotonic() + START_WITHIN_MS
    while (!(await answers(this.#host, this.#port, this.pid))) {
      if (this.#isGone || systemClock.monotonic() > untilMs) {
        if (!this.#isGone) this.#readLog()
        const why = this.#isGone ? 'ended at once' : `did not answer within ${START_WITHIN_MS} ms`
        throw new UnavailableError(`redis server on port ${this.#port} ${why}. It said: ${this.log.slice(-1_000)}`)
      }
      await new Promise<void>((resolve) => systemClock.after(10, resolve, { keepAlive: true }))
    }
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#isGone) return
    this.#child.ref()
    this.signal(signal)
    this.signal('SIGCONT')
    const impatience = systemClock.after(STOP_WITHIN_MS, () => this.signal('SIGKILL'), { keepAlive: true })
    await this.#gone
    impatience.cancel()
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#isGone) this.#child.kill(signal)
  }

  #left(): void {
    this.#isGone = true
    running.delete(this)
    this.#mourner.kill('SIGKILL')
    this.#readLog()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #readLog(): void {
    try {
      this.log += readFileSync(join(this.#folder, 'server.log'), 'utf8')
    } catch {
      // the folder is gone, and the log was read before it went
    }
  }

  #endNow(): void {
    this.#child.kill('SIGKILL')
    this.#mourner.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function argumentsOf(host: string, port: number, folder: string, options: RedisServerOptions): string[] {
  const all = ['--port', String(port), '--bind', host, '--dir', folder, '--save', '', '--appendonly', 'no', '--daemonize', 'no']
  if (options.maxMemory !== undefined) all.push('--maxmemory', String(options.maxMemory))
  if (options.policy !== undefined || options.maxMemory !== undefined) all.push('--maxmemory-policy', options.policy ?? 'volatile-lfu')
  return [...all, ...(options.args ?? [])]
}

/** By command: asked once, for asking holds up everything else in this process. */
const engines = new Map<string, { engine: 'redis' | 'valkey'; version: string }>()

function engineOf(command: string): { engine: 'redis' | 'valkey'; version: string } {
  const known = engines.get(command)
  if (known !== undefined) return known
  let text: string
  try {
    text = execFileSync(command, ['--version'], { encoding: 'utf8' })
  } catch (cause) {
    throw ConfigurationError.of('redis server: engineCommand', 'a redis-server or valkey-server that runs', `${command}: ${String(cause)}`)
  }
  const found = { engine: /valkey/i.test(text) ? 'valkey' : 'redis', version: /v=([\d.]+)/.exec(text)?.[1] ?? 'unknown' } as const
  engines.set(command, found)
  return found
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, host, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/**
 * Whether the server on the port answers and is the process we started, not someone else's that holds the port. One that asks for a
 * password cannot be told apart, and is taken as ours. One that is still loading has not started: it answers INFO then, and refuses PING.
 */
function answers(host: string, port: number, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    let reply = ''
    const socket = connect({ port, host })
    const impatience = systemClock.after(500, () => done(false), { keepAlive: true })
    const done = (answered: boolean) => {
      impatience.cancel()
      socket.destroy()
      resolve(answered)
    }
    socket.once('error', () => done(false))
    socket.once('close', () => done(false))
    socket.once('connect', () => socket.write('INFO server\r\nPING\r\n'))
    socket.on('data', (bytes) => {
      reply += bytes.toString('latin1')
      if (reply.startsWith('-')) done(!reply.startsWith('-LOADING'))
      const process = /process_id:(\d+)/.exec(reply)
      if (process === null) return
      if (Number(process[1]) !== pid) done(false)
      else if (reply.endsWith('+PONG\r\n')) done(true)
      else if (/\r\n-[^\r]*\r\n$/.test(reply)) done(false)
    })
  })
}
