/**
 * The project's own files, for the checks.
 *
 * Read from the folder itself rather than from git, so that a check also sees what is not committed yet and works on an unpacked copy.
 * What is installed, built or cached is left out.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface SourceFile {
  /** From the project's root, with `/` on every system. */
  readonly path: string
  readonly text: string
}

export const projectRoot: string = fileURLToPath(new URL('..', import.meta.url))

const NOT_OURS = new Set(['node_modules', 'dist', 'coverage', 'package-lock.json'])
const TEXT = /\.(?:ts|mts|mjs|js|lua|md|json|yml|yaml|sql|html|css)$|^(?:LICENSE|run)$/

/** Every text file below `root`, in the order of their paths. */
export function readSourceFiles(root: string = projectRoot): SourceFile[] {
  const files: SourceFile[] = []
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      const hidden = entry.name.startsWith('.') && entry.name !== '.ci' && entry.name !== '.github'
      if (hidden || NOT_OURS.has(entry.name)) {
        continue
      }
      if (entry.isDirectory()) {
        visit(path)
      } else if (entry.isFile() && TEXT.test(entry.name)) {
        files.push({ path: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') })
      }
    }
  }
  visit(root)
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function isCode(path: string): boolean {
  return /\.(?:ts|mts|mjs|js)$/.test(path)
}

export function isTest(path: string): boolean {
  return /\.test\.ts$/.test(path)
}

/** `file:line`, as editors and terminals link it. */
export function placeOf(file: SourceFile, offset: number): string {
  return `${file.path}:${file.text.slice(0, offset).split('\n').length}`
}
