/**
 * What the tests need from the system beside Node: real servers, and a tool or two.
 *
 * Taken from the PATH where it is there; else installed with the system's package manager, if that can be done without asking (as root,
 * or with a sudo that wants no password); else said plainly, by the package's name. Never passed over: a tier that was not tried on a
 * real Redis was not tried.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

type PackageManager = 'apt-get' | 'dnf' | 'apk' | 'brew'

export interface Tool {
  readonly why: string
  /** Any one of them will do. */
  readonly commands: readonly string[]
  /** By package manager: names to try in turn, for distributions differ. */
  readonly packages: Readonly<Record<PackageManager, readonly string[]>>
  /** Services that a package starts when it is installed; stopped again, for the tests start their own. */
  readonly services: readonly string[]
}

export const TOOLS: readonly Tool[] = [
  {
    why: 'the cache nodes that the tests run on',
    commands: ['redis-server', 'valkey-server'],
    packages: {
      'apt-get': ['redis-server', 'valkey-server'],
      dnf: ['valkey', 'redis'],
      apk: ['valkey', 'redis'],
      brew: ['valkey', 'redis'],
    },
    services: ['redis-server', 'valkey-server'],
  },
  {
    why: 'twemproxy, whose placement of keys the ketama ring is compared with',
    commands: ['nutcracker'],
    packages: { 'apt-get': ['nutcracker'], dnf: ['nutcracker', 'twemproxy'], apk: ['twemproxy', 'nutcracker'], brew: ['twemproxy'] },
    services: ['nutcracker'],
  },
  {
    why: 'certificates for the tests over TLS',
    commands: ['openssl'],
    packages: { 'apt-get': ['openssl'], dnf: ['openssl'], apk: ['openssl'], brew: ['openssl'] },
    services: [],
  },
  {
    why: 'a wall clock that jumps under a process',
    commands: ['faketime'],
    packages: { 'apt-get': ['faketime'], dnf: ['libfaketime'], apk: ['libfaketime'], brew: ['libfaketime'] },
    services: [],
  },
]

/** Servers lie here on Debian, where a user's PATH does not look. */
const SERVER_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/sbin', '/opt/homebrew/bin', '/usr/local/bin']

/** The system as the installer sees it; handed in, so that a test needs no package manager. */
export interface System {
  has(command: string): boolean
  readonly isRoot: boolean
  /** @returns whether it ended well; what it prints goes to standard error */
  run(command: readonly string[]): boolean
}

/** The PATH with the folders in which servers lie, for the tests to be started with. */
export const widePath: string = [process.env.PATH ?? '', ...SERVER_FOLDERS].join(delimiter)

export const thisSystem: System = {
  has: (command) => widePath.split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, command))),
  isRoot: process.getuid?.() === 0,
  run: ([command, ...args]) => spawnSync(command!, args, { stdio: ['ignore', 2, 2] }).status === 0,
}

/** @returns what is still missing, a line each that names the packages; empty when everything is there */
export function provideTools(tools: readonly Tool[] = TOOLS, system: System = thisSystem): string[] {
  const missing = tools.filter((tool) => !tool.commands.some(system.has))
  if (missing.length === 0) {
    return []
  }
  const manager = (['apt-get', 'dnf', 'apk', 'brew'] as const).find(system.has)
  const before = asRoot(manager, system)
  if (manager !== undefined && before !== undefined) {
    if (manager === 'apt-get') {
      system.run([...before, 'apt-get', 'update', '-q'])
    }
    for (const tool of missing) {
      install(tool, manager, before, system)
    }
  }
  return missing.filter((tool) => !tool.commands.some(system.has)).map((tool) => complaint(tool, manager, before !== undefined))
}

/** What stands before a command that needs root; undefined when it cannot be had without asking. Homebrew wants no root. */
function asRoot(manager: PackageManager | undefined, system: System): readonly string[] | undefined {
  if (manager === 'brew' || system.isRoot) {
    return []
  }
  return system.has('sudo') && system.run(['sudo', '-n', 'true']) ? ['sudo', '-n'] : undefined
}

function install(tool: Tool, manager: PackageManager, before: readonly string[], system: System): void {
  process.stderr.write(`Installing ${tool.commands.join(' or ')} with ${manager}: ${tool.why} …\n`)
  for (const name of tool.packages[manager]) {
    if (system.run([...before, ...INSTALL[manager], name])) {
      break
    }
  }
  // A package that was not there a moment ago has no server in anyone's use: what runs now, its installation has started.
  const running = tool.services.filter(
    (service) => manager !== 'brew' && system.has('systemctl') && system.run(['systemctl', 'is-active', '--quiet', service]),
  )
  for (const service of running) {
    system.run([...before, 'systemctl', 'disable', '--now', service])
  }
}

const INSTALL: Readonly<Record<PackageManager, readonly string[]>> = {
  // RUNLEVEL=1 keeps init scripts from starting a server; systemd does not look at it.
  'apt-get': ['env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get', 'install', '-y', '-q', '--no-install-recommends'],
  dnf: ['dnf', 'install', '-y', '-q'],
  apk: ['apk', 'add', '--no-cache'],
  brew: ['brew', 'install', '-q'],
}

function complaint(tool: Tool, manager: PackageManager | undefined, mayInstall: boolean): string {
  const needed = `${tool.commands.join(' or ')} is needed (${tool.why}) and is not on the PATH.`
  if (manager === undefined) {
    return `${needed} Install the package ${tool.packages['apt-get'][0]}, or what your system calls it.`
  }
  const name = tool.packages[manager][0]
  const command = `${manager === 'brew' ? '' : 'sudo '}${manager} ${manager === 'apk' ? 'add' : 'install'} ${name}`
  return mayInstall
    ? `${needed} Installing the package ${name} with ${manager} failed; what it said stands above.`
    : `${needed} Install the package ${name}: ${command}`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
