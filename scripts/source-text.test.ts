import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viewsOf } from './source-text.ts'

test('a view keeps offsets and line breaks', () => {
  const text = "const a = 'x' // y\n/* z\n */ const b = `p$" + '{a}q` / 2\n'
  for (const view of Object.values(viewsOf(text))) {
    assert.equal(view.length, text.length)
    assert.equal(view.split('\n').length, text.split('\n').length)
  }
})

test('comments, strings and regular expressions are not code', () => {
  const { code } = viewsOf(`a('one') // two\nb(/three\\/[/]four/.test(c)) /* five */ + "si\\"x" + d`)
  assert.equal(code.replace(/ +/g, ' '), `a(' ') \nb(/ /.test(c)) + " " + d`)
})

test('what stands in a template is text, but for the code in its braces', () => {
  const hole = '$' + '{'
  const { code } = viewsOf(`\`one ${hole}two({ a: \`three ${hole}four}\` })} five\` + six`)
  assert.equal(code.replace(/ +/g, ''), `\`${hole}two({a:\`${hole}four}\`})}\`+six`)
})

test('a division does not begin a regular expression', () => {
  const { code } = viewsOf("const half = (a) / 2 + b / 3 + 'no'")
  assert.equal(code, "const half = (a) / 2 + b / 3 + '  '")
})

test('a comment mark inside a string begins no comment', () => {
  const { uncommented, comments } = viewsOf("f('redis://one') // two")
  assert.equal(uncommented.trim(), "f('redis://one')")
  assert.equal(comments.trim(), '// two')
})
