import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFiles } from './check-files.ts'

const at = (path: string, text: string): string[] => checkFiles([{ path, text }])

test('a file of 400 lines is fine, one of 401 is not', () => {
  assert.deepEqual(at('src/a.ts', 'a\n'.repeat(400)), [])
  assert.match(at('src/a.ts', 'a\n'.repeat(401)).join(), /src\/a\.ts has 401 lines/)
  assert.match(at('src/node/scripts/a.lua', 'a\n'.repeat(401)).join(), /401 lines/)
})

for (const path of [
  'src/utils/a.ts',
  'src/ring-utils.ts',
  'bench/helpers.ts',
  'tests/common/x.ts',
  'src/node-manager.ts',
  'src/store-impl.test.ts',
]) {
  test(`${path} is an empty name`, () => {
    assert.match(at(path, '').join(), /says nothing/)
  })
}

test('a word that only contains an empty name is a name', () => {
  assert.deepEqual(at('src/uncommon-implicit.ts', ''), [])
  assert.deepEqual(at('src/adapters/cache-manager.ts', ''), [])
})

test('open ends and silenced compilers are found in comments, with their line', () => {
  assert.deepEqual(at('src/a.ts', 'a()\n// TODO: b\n'), ['src/a.ts:2 "TODO" is an open end: finish it, or write an issue'])
  assert.match(at('src/a.ts', '/* FIXME */').join(), /FIXME/)
  assert.match(at('src/a.ts', '// @ts-ignore').join(), /silences the compiler/)
  assert.deepEqual(at('src/a.ts', "const s = 'TODO'"), [])
})

for (const text of [
  "test.skip('a', f)",
  "it.only('a', f)",
  "describe.todo('a')",
  "test('a', { skip: true }, f)",
  "test('a', { timeout: 5, only: x }, f)",
]) {
  test(`${text} passes tests over`, () => {
    assert.match(at('src/a.test.ts', text).join(), /passes tests over/)
  })
}

test('skip is a fine word outside tests', () => {
  assert.deepEqual(at('src/a.ts', 'rows({ skip: 5 }).only.skip()'), [])
})

test('a path of one machine is found anywhere, also in a text', () => {
  const machine = (folder: string): string => `see /${folder}/x`
  assert.match(at('src/a.ts', `const s = '${machine('work')}'`).join(), /path of one machine/)
  assert.match(at('README.md', machine('root')).join(), /path of one machine/)
  assert.deepEqual(at('README.md', 'https://example.org/work/x and src/root/x'), [])
})
