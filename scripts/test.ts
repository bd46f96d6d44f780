/**
 * Everything that says whether the project is sound, in one command: types, lint, the import rules and the other checks, the package, and
 * all the tests, with the servers they need.
 *
 * Each check counts as one among the tests. The last line is `N passed, N failed`; the exit code is 0 only if something passed and nothing
 * failed.
 *
 *     npm test                   everything
 *     npm test -- ketama         the test files whose path contains "ketama", and nothing else
 *     npm run check              what needs no server
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkClock } from './check-clock.ts'
import { checkFiles } from './check-files.ts'
import { checkImports } from './check-imports.ts'
import { checkPackage } from './check-package.ts'
import { isTest, projectRoot, readSourceFiles } from './source-files.ts'
import { provideTools } from './system-tools.ts'
import { type Failure, type FileResult, runTestFiles } from './test-files.ts'

const HELP = `npm test [-- [options] [PATTERN …]]

  Without a pattern: types, lint, import rules and the other checks, and all tests.
  With patterns: only the test files whose path contains one of them.

  --no-servers   leave out what needs a redis-server: *.live.test.ts and tests/
  --help         this text
`

const SLOW_SECONDS = 5

interface Outcome {
  readonly problems: readonly string[]
  readonly figures?: string
}

interface Tally {
  passed: number
  readonly failures: Failure[]
}

const CHECKS: readonly (readonly [name: string, check: () => Outcome | Promise<Outcome>])[] = [
  ['types', () => outcomeOf('typescript/bin/tsc', '--pretty', 'false')],
  ['lint', () => outcomeOf('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '--colors=off', '--max-diagnostics=50')],
  ['imports', () => ({ problems: checkImports(readSourceFiles()) })],
  ['clock', () => ({ problems: checkClock(readSourceFiles()) })],
  ['files', () => ({ problems: checkFiles(readSourceFiles()) })],
  ['package', checkPackage],
]

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const started = performance.now()
  let options: ReturnType<typeof parse>
  try {
    options = parse(args)
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`)
    return 2
  }
  if (options.values.help) {
    console.log(HELP)
    return 0
  }
  const patterns = options.positionals
  const paths = testFiles(patterns, options.values['no-servers'] === true)
  const tally: Tally = { passed: 0, failures: [] }
  if (patterns.length === 0) {
    for (const [name, check] of CHECKS) {
      await runCheck(name, check, tally)
    }
  }
  await runTests(paths, tally)
  tellFailures(tally.failures)
  console.log(`\nTook ${secondsSince(started)} s.`)
  console.log(`${tally.passed} passed, ${tally.failures.length} failed`)
  return tally.failures.length === 0 && tally.passed > 0 ? 0 : 1
}

function parse(args: readonly string[]) {
  const options = { help: { type: 'boolean', short: 'h' }, 'no-servers': { type: 'boolean' } } as const
  return parseArgs({ args: [...args], options, allowPositionals: true })
}

/** Those that need servers first: they take longest. */
function testFiles(patterns: readonly string[], isServerless: boolean): string[] {
  return readSourceFiles()
    .map(({ path }) => path)
    .filter((path) => isTest(path) && /^(?:src|server|dashboard|examples|bench|tests|scripts)\//.test(path))
    .filter((path) => !(isServerless && needsServers(path)))
    .filter((path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern)))
    .sort((a, b) => Number(needsServers(b)) - Number(needsServers(a)))
}

function needsServers(path: string): boolean {
  return path.endsWith('.live.test.ts') || path.startsWith('tests/')
}

async function runCheck(name: string, check: () => Outcome | Promise<Outcome>, tally: Tally): Promise<void> {
  const started = performance.now()
  const { problems, figures } = await outcomeOfCheck(check)
  if (problems.length === 0) {
    tally.passed += 1
  } else {
    tally.failures.push({ name, detail: problems.join('\n') })
  }
  tell(problems.length === 0, name, secondsSince(started), figures ?? '')
}

/** A check that throws has not passed. */
async function outcomeOfCheck(check: () => Outcome | Promise<Outcome>): Promise<Outcome> {
  try {
    return await check()
  } catch (thrown) {
    return { problems: [`the check itself failed: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`] }
  }
}

async function runTests(paths: readonly string[], tally: Tally): Promise<void> {
  const missing = paths.some(needsServers) ? provideTools() : []
  if (missing.length > 0) {
    tally.failures.push(...missing.map((detail) => ({ name: 'what the tests need', detail })))
    console.error(missing.join('\n'))
  }
  // Without the servers their files are not run: they are missing, said above, and counted as a failure.
  const runnable = missing.length > 0 ? paths.filter((path) => !needsServers(path)) : paths
  if (runnable.length === 0) {
    tally.failures.push({ name: 'tests', detail: 'There is no test file to run: a pattern is part of its path.' })
    return
  }
  const results = await runTestFiles(runnable, { onFile: tellFile })
  for (const { path, passed, failures } of results) {
    tally.passed += passed
    tally.failures.push(...failures.map(({ name, detail }) => ({ name: `${path} › ${name}`, detail })))
  }
  for (const { path, unmeasured } of results)
    for (const { name, detail } of unmeasured) console.log(`\nNot measured: ${path} › ${name}\n   ${detail}`)
  const slow = results.filter(({ seconds }) => seconds > SLOW_SECONDS).sort((a, b) => b.seconds - a.seconds)
  if (slow.length > 0) {
    console.log(`\nSlow: ${slow.map(({ path, seconds }) => `${path} ${seconds.toFixed(1)} s`).join(', ')}`)
  }
}

function tellFile({ path, passed, failures, unmeasured, seconds }: FileResult): void {
  const isGood = failures.length === 0
  const others = `${isGood ? '' : `, ${failures.length} failed`}${unmeasured.length === 0 ? '' : `, ${unmeasured.length} not measured`}`
  tell(isGood, path, seconds.toFixed(1), `${passed} passed${others}`)
}

function tell(isGood: boolean, name: string, seconds: string, figures: string): void {
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${name.padEnd(52)} ${seconds.padStart(6)} s  ${figures}`.trimEnd())
}

function tellFailures(failures: readonly Failure[]): void {
  for (const { name, detail } of failures) {
    console.log(`\n── ${name}\n${detail.replace(/^/gm, '   ')}`)
  }
}

function secondsSince(started: number): string {
  return ((performance.now() - started) / 1_000).toFixed(1)
}

/** Runs a tool of node_modules, which says itself what is wrong. */
function outcomeOf(tool: string, ...args: readonly string[]): Outcome {
  const path = join(projectRoot, 'node_modules', tool)
  const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...args], {
    cwd: projectRoot,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return { problems: status === 0 ? [] : [`${stdout}${stderr}`.trim() || `exit code ${status}`] }
}
