import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions, withoutPassword } from './options.ts'
import { UsageError } from './usage-error.ts'

test('without options the shop runs on its own until it is stopped', () => {
  assert.deepEqual(parseOptions([]), {
    catalogue: undefined,
    reads: undefined,
    events: undefined,
    nodes: [],
    databases: [],
    replicas: 3,
    rate: undefined,
    seed: 1,
    forMs: undefined,
    json: false,
  })
})

test('every option is taken', () => {
  const options = parseOptions(
    '--catalogue c --reads r --events e --nodes redis://a:1,rediss://b --database postgres://u:p@h/d --replicas 2 --rate 12.5 --seed 9 --for 1.5m --json'.split(
      ' ',
    ),
  )
  assert.deepEqual(options, {
    catalogue: 'c',
    reads: 'r',
    events: 'e',
    nodes: ['redis://a:1', 'rediss://b'],
    databases: ['postgres://u:p@h/d'],
    replicas: 2,
    rate: 12.5,
    seed: 9,
    forMs: 90_000,
    json: true,
  })
  assert.equal(parseOptions(['--help']), 'help')
})

test('what is wrong is told with what was needed and what came', () => {
  const wrong: [args: string[], told: RegExp][] = [
    [['--fro', '20s'], /--fro.*Known options: --catalogue/],
    [['extra'], /extra/],
    [['--for', '20'], /--for: needs a duration .* but got: "20"/],
    [['--for', '0s'], /--for: needs a duration/],
    [['--rate', '-1'], /--rate/],
    [['--rate', 'fast'], /--rate: needs requests per second .* but got: "fast"/],
    [['--seed', '1e3'], /--seed/],
    [['--seed', '4294967296'], /--seed/],
    [['--replicas', '0'], /--replicas: needs a whole number from 1 to 16, but got: "0"/],
    [['--replicas', '6'], /--replicas: needs at most 5/],
    [['--nodes', 'redis://a,redis://b'], /--nodes: needs at least as many nodes as --replicas \(3\), but got: 2/],
    [['--nodes', 'http://a'], /--nodes: needs addresses such as redis:\/\/host:port/],
    [['--nodes', 'redis://a,redis://a,redis://b'], /--nodes: needs each address once/],
    [['--database', 'mysql://a'], /--database/],
    [['--catalogue', ''], /--catalogue: needs the name of a file/],
    [['--json=yes'], /--json/],
    [['--reads'], /--reads/],
  ]
  for (const [args, told] of wrong) {
    assert.throws(
      () => parseOptions(args),
      (error) => error instanceof UsageError && told.test(error.message),
      args.join(' '),
    )
  }
})

test('a message never tells a password', () => {
  assert.equal(withoutPassword('redis://user:secret@host:1'), 'redis://user:…@host:1')
  assert.throws(
    () => parseOptions(['--nodes', 'http://user:secret@host']),
    (error) => error instanceof Error && !error.message.includes('secret'),
  )
})
