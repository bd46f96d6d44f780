import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError } from '../errors.ts'
import { columnType, quotedName, quotedTable } from './identifier.ts'

/** What leaves a quoted name, a type or a statement. (`--` within quotes does not.) */
const dangerous = ['"', "'", ';', ' --', '/*', '\\', '\0', '\n', '$$;', '") values (1); --', 'text); drop table a; --', 'int, b int']

test('names are quoted as they are spelt', () => {
  assert.equal(quotedName('Products', 'x'), '"Products"')
  assert.equal(quotedName('größe_2', 'x'), '"größe_2"')
  assert.equal(quotedTable('shop.order-lines', 'x'), '"shop"."order-lines"')
})

test('a name with anything but letters, digits, _, $ and - is refused', () => {
  for (const bad of ['', ' ', '1st', 'a b', 'a.b', 'a'.repeat(64), 'ö'.repeat(32), ...dangerous, ...dangerous.map((each) => `a${each}`)])
    assert.throws(() => quotedName(bad, 'x'), ConfigurationError, JSON.stringify(bad))
  for (const bad of ['a.b.c', '.a', 'a.', '..', 'a."b"']) assert.throws(() => quotedTable(bad, 'x'), ConfigurationError, bad)
  assert.throws(() => quotedName(undefined as unknown as string, 'x'), ConfigurationError)
})

test('whatever name is taken, it stays within its quotes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (name) => {
      let quoted: string
      try {
        quoted = quotedName(name, 'x')
      } catch (error) {
        assert.ok(error instanceof ConfigurationError)
        return
      }
      assert.equal(quoted, `"${name}"`)
      assert.ok(!/["'\\\0;\s]/.test(name))
    }),
    { numRuns: 2_000 },
  )
})

test('a type is words with a length and brackets, nothing that ends it', () => {
  for (const type of [
    'int',
    'bigint',
    'double precision',
    'numeric(12,2)',
    'numeric(12, 2)',
    'varchar(20)',
    'timestamptz',
    'timestamp(3) with time zone',
    'time without time zone',
    'text[]',
    'int[][]',
    'jsonb',
    'shop.mood',
  ])
    assert.equal(columnType(type, 'x'), type)
  for (const bad of [
    '',
    'int)',
    'int(',
    'int(1',
    '1nt',
    'text[',
    'numeric(a)',
    'int default 1)',
    ...dangerous.map((each) => `text${each}`),
  ])
    assert.throws(() => columnType(bad, 'x'), ConfigurationError, bad)
})
