/**
 * Builds `dist/`: the compiler writes the declarations, a bundler the JavaScript, in a file for each entry and one for what both use, and beside
 * them lie the Lua scripts, which the nodes read at run time.
 *
 * Small files are for those who read the sources. Loading them one by one took a service half of the time that importing the library takes.
 *
 *     npm run build
 */
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { rolldown } from 'rolldown'
import { projectRoot } from './source-files.ts'

const source = join(projectRoot, 'src')
const dist = join(projectRoot, 'dist')

/** @returns what is wrong; empty when `dist/` is made */
export async function build(): Promise<string> {
  rmSync(dist, { recursive: true, force: true })
  const complaint = declare()
  if (complaint !== '') return complaint
  const bundle = await rolldown({
    input: {
      index: join(source, 'index.ts'),
      'testing/index': join(source, 'testing', 'index.ts'),
      'journal-worker': join(source, 'journal', 'journal-worker.ts'),
      'ringtail-capture': join(source, 'capture', 'ringtail-capture.ts'),
    },
    platform: 'node',
    // Packages and Node's own modules are found by whoever imports the library.
    external: /^[^./]/,
  })
  await bundle.write({ dir: dist, format: 'esm', sourcemap: true, entryFileNames: '[name].js', chunkFileNames: 'shared.js' })
  await bundle.close()
  for (const script of globSync(join(source, '**', '*.lua'))) cpSync(script, join(dist, 'scripts', basename(script)))
  return ''
}

function declare(): string {
  const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--pretty', 'false'], {
    cwd: projectRoot,
    encoding: 'utf8',
  })
  return status === 0 ? '' : `${stdout}${stderr}`.trim() || `tsc ended with exit code ${status}`
}

if (import.meta.main) {
  const complaint = await build()
  console.log(complaint || 'dist/ is built')
  process.exitCode = complaint === '' ? 0 : 1
}
