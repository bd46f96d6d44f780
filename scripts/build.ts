/**
 * Builds `dist/`: JavaScript and declarations by the compiler, and beside them the Lua scripts, which the nodes read at run time.
 *
 *     npm run build
 */
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { projectRoot } from './source-files.ts'

/** @returns what the compiler complains of; empty when `dist/` is made */
export function build(): string {
  const dist = join(projectRoot, 'dist')
  rmSync(dist, { recursive: true, force: true })
  const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--pretty', 'false'], {
    cwd: projectRoot,
    encoding: 'utf8',
  })
  const source = join(projectRoot, 'src')
  for (const script of globSync(join(source, '**', '*.lua'))) {
    cpSync(script, join(dist, relative(source, script)))
  }
  return status === 0 ? '' : `${stdout}${stderr}`.trim() || `tsc ended with exit code ${status}`
}

if (import.meta.main) {
  const complaint = build()
  console.log(complaint || 'dist/ is built')
  process.exitCode = complaint === '' ? 0 : 1
}
