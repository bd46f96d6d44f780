/**
 * The way into every npm script: makes sure that what package-lock.json names is installed, then hands over to the pinned Node.
 *
 * On a fresh clone nothing is there, not even the Node that runs TypeScript; so this one file is plain JavaScript that an old Node runs.
 * It promises: standard output belongs to the script alone (npm's progress goes to standard error), signals reach the script, and its
 * exit code is passed on.
 *
 *     exec node scripts/launch.mjs examples/shop/main.ts --for 20s
 *
 * `exec`, for npm tells a signal to the shell it starts, and a shell that waits passes none on.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

if (!isInstalled()) {
  install()
}
runScript(newEnoughNode(), process.argv.slice(2))

/**
 * npm keeps what it has put into node_modules in a lock file of its own there, written last: compared with it, an install that was broken
 * off, is older than package-lock.json, or left the development dependencies out, is seen. What is missing may be optional only: the
 * binaries for other systems.
 */
function isInstalled() {
  const wanted = packagesIn('package-lock.json')
  const present = packagesIn(join('node_modules', '.package-lock.json'))
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) {
      return true
    }
    const there = present[path]
    if (there === undefined) {
      return entry.optional === true
    }
    return there.version === entry.version && there.integrity === entry.integrity
  })
}

function packagesIn(lockFile) {
  const path = join(root, lockFile)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {}
}

function install() {
  process.stderr.write('Installing what package-lock.json names (npm ci) …\n')
  // `--loglevel` undoes .npmrc's silence, so that errors are seen; `--include=dev` undoes NODE_ENV=production.
  const args = ['ci', '--include=dev', '--loglevel=error', '--no-audit', '--no-fund']
  const npm = process.env.npm_execpath
  const [command, ...first] = npm === undefined ? ['npm'] : [process.env.npm_node_execpath ?? process.execPath, npm]
  const { status, error } = spawnSync(command, [...first, ...args], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: npm === undefined && process.platform === 'win32',
  })
  if (status !== 0) {
    fail(`npm ci failed${error ? `: ${error.message}` : ` with exit code ${status}`}; what it said stands above.`)
  }
}

/** The `node` package's binary, or, where that does not run (musl, an unknown processor), the Node that runs this if it is new enough. */
function newEnoughNode() {
  const pinned = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  for (const node of [pinned, process.execPath]) {
    const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version ?? '') ?? []
    if (Number(major) > 22 || (Number(major) === 22 && Number(minor) >= 18)) {
      return node
    }
  }
  return fail(
    `Node 22.18 or newer is needed, but got: ${process.version}, and the one that comes with the development dependencies does not run here.\n` +
      'Install a newer Node, or let npm run the install script of the package `node` (npm approve-scripts node; npm rebuild node).',
  )
}

function runScript(node, args) {
  const child = spawn(node, ['--conditions=ringtail-source', ...args], { cwd: root, stdio: 'inherit' })
  // Ctrl-C in a terminal goes to the whole group, the script included; told twice, it would break off its own clean-up.
  const toldByTerminal = process.stdin.isTTY === true
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (!(signal === 'SIGINT' && toldByTerminal)) {
        child.kill(signal)
      }
    })
  }
  endWithParent(child)
  child.on('error', (error) => fail(error.message))
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? code : 128 + constants.signals[signal]
  })
}

/** Where npm was killed outright nobody forwards a signal: the script is told to end, rather than left running on its own. */
function endWithParent(child) {
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid !== parent) {
      child.kill('SIGTERM')
      clearInterval(watch)
    }
  }, 500)
  watch.unref()
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
