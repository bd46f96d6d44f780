import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { prepareXxh64, XXH64_SPACE, xxh64 } from './xxh64.ts'

test('asking for a hash before it is loaded says what to do', () => {
  assert.throws(
    () => xxh64('key'),
    (error) => error instanceof ConfigurationError && /prepareXxh64\(\)/.test(error.message),
  )
})

test('preparing again returns the same promise', async () => {
  const first = prepareXxh64()
  assert.equal(prepareXxh64(), first)
  await first
  assert.equal(prepareXxh64(), first)
})

/** The reference values of XXH64 as published with the specification and its ports, cut to 53 bits. */
test('known texts have their published XXH64, cut to the top 53 bits', async () => {
  await prepareXxh64()
  for (const [text, seed, full] of [
    ['', 0n, 0xef46db3751d8e999n],
    ['a', 0n, 0xd24ec4f1a98c6e5bn],
    ['abc', 0n, 0x44bc2cf5ad770999n],
    ['Nobody inspects the spammish repetition', 0n, 0xfbcea83c8a378bf1n],
    ['', 1n, 0xd5afba1336a3be4bn],
  ] as const) {
    assert.equal(xxh64(text, seed), Number(full >> 11n), JSON.stringify(text))
  }
})

test('a hash is a whole number below 2^53, whatever the text', async () => {
  await prepareXxh64()
  for (const text of ['', '\ud800', 'a\udfffb', 'ü', '\u0000', '😀', 'x'.repeat(200_000)]) {
    const hash = xxh64(text)
    assert.ok(Number.isSafeInteger(hash) && hash >= 0 && hash < XXH64_SPACE, `${hash}`)
  }
})

test('a lone surrogate hashes as the replacement character, as it is written to the wire', async () => {
  await prepareXxh64()
  assert.equal(xxh64('a\ud800b'), xxh64('a\ufffdb'))
})

test('another seed is another hash', async () => {
  await prepareXxh64()
  assert.notEqual(xxh64('key', 1n), xxh64('key'))
})
