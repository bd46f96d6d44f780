/**
 * The look of the files: short, named after what they hold, finished, and true on every machine.
 *
 * A file above 400 lines holds two ideas; one named `utils` holds none. A mark that says "later" or a test that is passed over is an open
 * end that nobody is told of. A path of one machine breaks on the next.
 *
 *     node scripts/check-files.ts
 */
import { isCode, isTest, placeOf, readSourceFiles, type SourceFile } from './source-files.ts'
import { viewsOf } from './source-text.ts'

const MOST_LINES = 400
const CODE_FOLDERS = /^(?:src|server|dashboard|bench|examples|scripts|tests)\//
const EMPTY_NAMES = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'manager', 'impl', 'misc'])

/** Packages that are named so, for the files that deal with them. */
const FOREIGN_NAMES = /\bcache-manager\b/g

const OPEN_ENDS = /\b(?:TODO|FIXME|XXX|HACK)\b/g
const SILENCED = /@ts-(?:ignore|nocheck)\b/g
const PASSED_OVER = /\b(?:test|it|describe|suite|t)\s*\.\s*(?:skip|only|todo)\b|[{,]\s*(?:skip|only|todo)\s*:/g
const MACHINE_PATHS = /(?<![\w.:/-])\/(?:work|root)\/[\w.-]/g

/** @returns what is wrong, a line each; empty when all is well */
export function checkFiles(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const problems = marked(file, file.text, MACHINE_PATHS, 'is a path of one machine')
    if (!CODE_FOLDERS.test(file.path)) {
      return problems
    }
    const lines = file.text.split('\n').length - 1
    if (lines > MOST_LINES && !/\.(?:json|md)$/.test(file.path)) {
      problems.push(`${file.path} has ${lines} lines; at most ${MOST_LINES} are one idea`)
    }
    const empty = file.path
      .replaceAll(FOREIGN_NAMES, '')
      .split(/[/.-]/)
      .find((word) => EMPTY_NAMES.has(word))
    if (empty !== undefined) {
      problems.push(`${file.path}: "${empty}" says nothing; name the file after what it exports`)
    }
    if (isCode(file.path)) {
      const { code, comments } = viewsOf(file.text)
      problems.push(...marked(file, comments, OPEN_ENDS, 'is an open end: finish it, or write an issue'))
      problems.push(...marked(file, comments, SILENCED, 'silences the compiler'))
      if (isTest(file.path)) {
        problems.push(...marked(file, code, PASSED_OVER, 'passes tests over'))
      }
    }
    return problems
  })
}

function marked(file: SourceFile, view: string, pattern: RegExp, what: string): string[] {
  return [...view.matchAll(pattern)].map((match) => `${placeOf(file, match.index)} "${match[0].trim()}" ${what}`)
}

if (import.meta.main) {
  const problems = checkFiles(readSourceFiles())
  console.log(problems.join('\n') || 'files: short, named and finished')
  process.exitCode = problems.length === 0 ? 0 : 1
}
