/**
 * Builds `dist/`: the compiler writes the declarations, a bundler the JavaScript, in a file for each entry and one for what they share, and beside
 * them lie the Lua scripts, which the nodes read at run time.
 *
 * Small files are for those who read the sources. Loading them one by one took a service half of the time that importing the library takes.
 *
 *     npm run build
 */
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'
import { rolldown } from 'rolldown'
import { projectRoot } from './source-files.ts'

const source = join(projectRoot, 'src')
const dist = join(projectRoot, 'dist')

/** @returns what is wrong; empty when `dist/` is made */
export async function build(): Promise<string> {
  rmSync(dist, { recursive: true, force: true })
  const complaint = declare()
  if (complaint !== '') return complaint
  await bundled({
    index: join(source, 'index.ts'),
    'testing/index': join(source, 'testing', 'index.ts'),
    'ringtail-capture': join(source, 'capture', 'ringtail-capture.ts'),
  })
  // A thread of its own loads it, and nothing else of the library.
  await bundled({ 'journal-worker': join(source, 'journal', 'journal-worker.ts') })
  for (const script of globSync(join(source, '**', '*.lua'))) cpSync(script, join(dist, 'scripts', basename(script)))
  return ''
}

async function bundled(input: Readonly<Record<string, string>>): Promise<void> {
  const bundle = await rolldown({
    input,
    platform: 'node',
    // Packages and Node's own modules are found by whoever imports the library.
    external: /^[^./]/,
  })
  await bundle.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    // Declarations tell what there is to tell; here comments would only be read past, each time it is loaded.
    comments: false,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    codeSplitting: { groups: [{ name: 'library', test: isLibrary }] },
  })
  await bundle.close()
  for (const name of readdirSync(dist).filter((each) => each.endsWith('.js'))) writeAscii(join(dist, name))
}

/**
 * Text of bytes is compiled in half the time of what has a single letter beyond them. Whatever is not ASCII stands in a string, and lines stay
 * lines, so that source maps still tell the right one.
 */
function writeAscii(file: string): void {
  const text = readFileSync(file, 'utf8')
  const ascii = text.replace(/[^\p{ASCII}]/gu, (letter) => Array.from({ length: letter.length }, (_, at) => escaped(letter, at)).join(''))
  if (ascii !== text) writeFileSync(file, ascii)
}

function escaped(letter: string, at: number): string {
  return `\\u${letter.charCodeAt(at).toString(16).padStart(4, '0')}`
}

/** What whoever imports the library loads: all but what is for tests alone, or loaded when it is first needed. */
function isLibrary(file: string): boolean {
  const room = relative(source, file).split(sep)[0]!
  return file.startsWith(source) && room !== 'testing' && room !== 'capture'
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
