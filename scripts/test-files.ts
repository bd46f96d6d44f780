/**
 * Runs test files, each in a process of its own, and counts what they say.
 *
 * Node's own runner lets a file that never ends hang for ever; here each file has a bound, a process group that is ended with it, and a
 * temporary folder that must be empty and unused when it is done: a test that leaves a server or a file behind has failed. So has a test
 * that was passed over, and a file without tests. One that says, with the reason, that nothing could be measured has neither passed nor failed,
 * and is told of.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endProcesses, processesLeftBy } from './left-behind.ts'
import { projectRoot } from './source-files.ts'
import { widePath } from './system-tools.ts'

/** A test that has not passed. */
export interface Failure {
  readonly name: string
  readonly detail: string
}

export interface FileResult {
  readonly path: string
  readonly passed: number
  readonly failures: readonly Failure[]
  /** Tests that found, while they ran, that nothing could be measured, and why. */
  readonly unmeasured: readonly Failure[]
  readonly seconds: number
}

export interface RunOptions {
  readonly root?: string
  readonly concurrency?: number
  /** Bound of one file. */
  readonly timeoutMs?: number
  readonly onFile?: (result: FileResult) => void
}

/** What `test-reporter.mjs` writes. */
interface Ended {
  readonly name: string
  readonly line?: number
  readonly passed: boolean
  readonly passedOver?: boolean
  readonly unmeasured?: string
  readonly onlyBySubtests?: boolean
  readonly error?: string
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly isLate: boolean
  readonly output: string
}

const MOST_OUTPUT = 20_000

/** Process groups under way, ended with this process. */
const running = new Set<ChildProcess>()

/** @param paths test files, from `root` */
export async function runTestFiles(paths: readonly string[], options: RunOptions = {}): Promise<FileResult[]> {
  const { root = projectRoot, concurrency = 2, timeoutMs = 120_000, onFile } = options
  const temporary = mkdtempSync(join(realpathSync(tmpdir()), 'ringtail-test-'))
  // PostgreSQL refuses to run as root; started by root it is another user, who must come through to its own folder.
  chmodSync(temporary, 0o711)
  const forget = endWithThisProcess(temporary)
  const results: FileResult[] = []
  const waiting = paths.map((path, index) => ({ path, scratch: join(temporary, `${index}`) }))
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = await runTestFile(next.path, root, next.scratch, timeoutMs)
      results.push(result)
      onFile?.(result)
    }
  }
  try {
    await Promise.all(Array.from({ length: concurrency }, work))
  } finally {
    forget()
    rmSync(temporary, { recursive: true, force: true })
  }
  return results
}

async function runTestFile(path: string, root: string, scratch: string, timeoutMs: number): Promise<FileResult> {
  const temporary = join(scratch, 't')
  const report = join(scratch, 'report')
  mkdirSync(temporary, { recursive: true })
  const started = performance.now()
  const reporter = join(import.meta.dirname, 'test-reporter.mjs')
  const child = spawn(
    process.execPath,
    ['--conditions=ringtail-source', `--test-reporter=${reporter}`, `--test-reporter-destination=${report}`, join(root, path)],
    {
      cwd: root,
      env: testEnvironment(temporary),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  )
  const exit = await ended(child, timeoutMs)
  const { tests, isWhole } = readReport(report)
  const failures = [
    ...failuresOf(tests),
    ...failuresOfFile(tests, isWhole, exit, timeoutMs),
    ...(await leftBehind(child, temporary, exit.isLate)),
  ]
  const unmeasured = tests.flatMap((test) => (test.unmeasured === undefined ? [] : [{ name: nameOf(test), detail: test.unmeasured }]))
  return { path, passed: tests.filter(isGood).length, failures, unmeasured, seconds: (performance.now() - started) / 1_000 }
}

function testEnvironment(temporary: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: widePath, TMPDIR: temporary, NODE_ENV: 'test' }
  // Set where this runner is itself under test; it would send the file's report elsewhere.
  delete env.NODE_TEST_CONTEXT
  return env
}

function ended(child: ChildProcess, timeoutMs: number): Promise<Exit> {
  running.add(child)
  let output = ''
  const gather = (chunk: Buffer): void => {
    output = (output + chunk).slice(-MOST_OUTPUT)
  }
  child.stdout?.on('data', gather)
  child.stderr?.on('data', gather)
  return new Promise((resolve) => {
    let isLate = false
    const bound = setTimeout(() => {
      isLate = true
      endGroup(child, 'SIGKILL')
    }, timeoutMs)
    // 'exit', not 'close': a server left behind holds the output open.
    child.once('exit', (code, signal) => {
      clearTimeout(bound)
      running.delete(child)
      setImmediate(() => {
        child.stdout?.destroy()
        child.stderr?.destroy()
        resolve({ code, signal, isLate, output })
      })
    })
  })
}

/** What ended, and whether the file came to its own end, rather than being broken off by a `process.exit` in its midst. */
function readReport(report: string): { readonly tests: Ended[]; readonly isWhole: boolean } {
  try {
    const lines = readFileSync(report, 'utf8').split('\n').slice(0, -1)
    const ended = lines.map((line) => JSON.parse(line) as Ended & { readonly isWhole?: boolean })
    return { tests: ended.filter((each) => each.isWhole !== true), isWhole: ended.some((each) => each.isWhole === true) }
  } catch {
    return { tests: [], isWhole: false }
  }
}

function isGood(test: Ended): boolean {
  return test.passed && test.passedOver !== true
}

function hasFailed(test: Ended): boolean {
  return !isGood(test) && test.unmeasured === undefined
}

function nameOf({ name, line }: Ended): string {
  return line === undefined ? name : `${name} (line ${line})`
}

function failuresOf(tests: readonly Ended[]): Failure[] {
  return tests
    .filter((test) => hasFailed(test) && test.onlyBySubtests !== true)
    .map((test) => ({
      name: nameOf(test),
      detail: test.passedOver === true ? 'passed over: a test that is not run proves nothing' : (test.error ?? 'failed'),
    }))
}

/** What is wrong with the file as a whole, when its tests do not say it themselves. */
function failuresOfFile(tests: readonly Ended[], isWhole: boolean, exit: Exit, timeoutMs: number): Failure[] {
  if (exit.isLate) {
    return [{ name: `did not end within ${timeoutMs / 1_000} s`, detail: `A test hangs, or something is still open.\n${exit.output}` }]
  }
  const isEndedBadly = exit.code !== 0 && !tests.some(hasFailed)
  if (isEndedBadly) {
    return [{ name: `ended with ${exit.signal ?? `exit code ${exit.code}`}`, detail: exit.output }]
  }
  if (tests.length === 0) return [{ name: 'has no tests', detail: exit.output }]
  return isWhole || tests.some(hasFailed) ? [] : [{ name: 'was broken off before all its tests had ended', detail: exit.output }]
}

async function leftBehind(child: ChildProcess, temporary: string, isLate: boolean): Promise<Failure[]> {
  const processes = await processesLeftBy(child.pid ?? 0, temporary)
  await endProcesses(processes)
  const files = readdirSync(temporary)
  // A file that was broken off had no chance to clean up.
  if (isLate || (processes.length === 0 && files.length === 0)) {
    return []
  }
  const names = [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...files.map((file) => `in the temporary folder: ${file}`),
  ]
  return [{ name: 'left something behind', detail: names.join('\n') }]
}

function endWithThisProcess(temporary: string): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const end = (): void => {
    for (const child of running) {
      endGroup(child, 'SIGKILL')
    }
    rmSync(temporary, { recursive: true, force: true })
    process.exit(130)
  }
  for (const signal of signals) {
    process.on(signal, end)
  }
  return () => {
    for (const signal of signals) {
      process.off(signal, end)
    }
  }
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid ?? 0), signal)
  } catch {
    // The group is gone already.
  }
}
