/**
 * One clock: nothing in the library reads the time, sets a timer or draws a random number but through `src/clock.ts`.
 *
 * So a test moves time by hand and replays chance from a seed, and no code that waits escapes it. `testing/` may, where it runs processes;
 * tests may, where they measure.
 *
 *     node scripts/check-clock.ts
 */
import { isCode, isTest, placeOf, readSourceFiles, type SourceFile } from './source-files.ts'
import { viewsOf } from './source-text.ts'

const MAY = /^src\/(?:clock\.ts$|testing\/)/

/** `new Date(ms)` is none of them: it reads no clock. A method of the same name (`socket.setTimeout`) is another thing. */
const READINGS: readonly RegExp[] = [
  /\bDate\s*\.\s*now\b/g,
  /\bnew\s+Date\b(?:\s*\(\s*\)|(?!\s*\())/g,
  /(?<!\bnew\s+|[.\w$])Date\s*\(/g,
  /\bperformance\s*\.\s*(?:now|timeOrigin)\b/g,
  /(?:(?<![.\w$])|\bglobalThis\s*\.\s*)(?:setTimeout|setInterval|setImmediate)\b/g,
  /\bAbortSignal\s*\.\s*timeout\b/g,
  /\bMath\s*\.\s*random\b/g,
  /\bprocess\s*\.\s*hrtime\b/g,
]

const TIMER_MODULES = /(['"])node:timers(?:\/promises)?\1/g

/** @returns what is wrong, a line each; empty when all is well */
export function checkClock(files: readonly SourceFile[]): string[] {
  const problems: string[] = []
  for (const file of files) {
    if (!file.path.startsWith('src/') || !isCode(file.path) || isTest(file.path) || MAY.test(file.path)) {
      continue
    }
    const { code, uncommented } = viewsOf(file.text)
    const found = [...READINGS.flatMap((reading) => [...code.matchAll(reading)]), ...uncommented.matchAll(TIMER_MODULES)]
    for (const match of found.sort((a, b) => a.index - b.index)) {
      problems.push(`${placeOf(file, match.index)} uses ${match[0].replace(/\s+/g, ' ')}: take a Clock or a Random (src/clock.ts) instead`)
    }
  }
  return problems
}

if (import.meta.main) {
  const problems = checkClock(readSourceFiles())
  console.log(problems.join('\n') || 'clock: read in src/clock.ts alone')
  process.exitCode = problems.length === 0 ? 0 : 1
}
