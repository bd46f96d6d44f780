import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { emptyTally } from '../shoppers/tally-keeping.ts'
import { bar, columns, milliseconds, percent } from './format.ts'
import { LiveView, type Moment } from './live-view.ts'
import { cut, Screen } from './screen.ts'
import { Teller } from './teller.ts'

function terminal(columns = 100, rows = 40) {
  const written: string[] = []
  return { columns, rows, isTTY: true, write: (text: string) => written.push(text), written }
}

function moment(elapsedMs: number, requests: number): Moment {
  const tally = emptyTally()
  tally.requests = { total: requests, failed: 0, reads: requests, writes: 0 }
  tally.pages.hit = requests
  const node = {
    id: 'node-1',
    zone: undefined,
    weight: 1,
    engine: 'redis',
    engineVersion: '7',
    up: true,
    state: 'up' as const,
    share: 0.5,
    entries: 3,
    usedBytes: 2 ** 20,
    maxBytes: 2 ** 27,
    evicted: 0,
    reads: 5,
    hits: 4,
    errors: 0,
  }
  return { elapsedMs, tally, nodes: [node], shards: [{ id: 'shard-0', queries: requests }], avoided: 3 * requests, troubles: 0 }
}

test('numbers and bars read well', () => {
  assert.equal(percent(0.98765), '98.8 %')
  assert.deepEqual(
    [milliseconds(null), milliseconds(1.234), milliseconds(12.34), milliseconds(123.4)],
    ['–', '1.23 ms', '12.3 ms', '123 ms'],
  )
  assert.equal(bar(0.5, 4), '██░░')
  assert.equal(bar(7, 2), '██')
  assert.equal(columns([0, 5, 10], 3), '▁▅█')
})

test('a line is cut to the width of the terminal, colours not counted', () => {
  assert.equal(cut('\u001b[1mabcdef\u001b[22mgh', 4), '\u001b[1mabcd')
  assert.equal(cut('ab', 4), 'ab')
})

test('a drawing goes over the last one, clears what is longer, and gives the cursor back at the end', () => {
  const output = terminal(5, 40)
  const screen = new Screen(output)
  screen.draw(['one', 'two', 'three'])
  screen.draw(['longer line'])
  screen.end()
  screen.draw(['never'])
  assert.ok(output.written[0]?.startsWith('\u001b[?25l'))
  assert.equal(output.written[1], '\u001b[3Flonge\u001b[0m\u001b[K\n\u001b[0J')
  assert.deepEqual(output.written.slice(2), ['\u001b[?25h'])
})

test('the live view tells rates of the last moments, totals and each node', () => {
  const view = new LiveView({ forMs: 60_000, products: 5_000, replicas: 3, nodesAre: 'nodes', databaseIs: 'shards' }, false)
  view.next(moment(1_000, 100))
  const text = view.next(moment(2_000, 400)).join('\n')
  assert.match(text, /00:02 of 01:00/)
  assert.match(text, /300 \/s/)
  assert.match(text, /400 in all/)
  assert.match(text, /300 statements\/s, 900 avoided/)
  assert.match(text, /node-1 .* 50\.0 % .* 1\.0 MB of 128 MB/)
})

test('anything but a terminal gets plain lines without control characters', () => {
  const written: string[] = []
  const teller = new Teller({ write: (text: string) => written.push(text) })
  const step = teller.step('reading')
  step(0.5)
  step(1)
  teller.run({ forMs: undefined, products: 1, replicas: 1, nodesAre: '', databaseIs: '' })
  for (let index = 0; index <= 10; index++) teller.moment(moment(index * 500, index * 100))
  teller.end()
  const text = written.join('')
  assert.equal(text, stripVTControlCharacters(text))
  assert.match(text, /^reading: \d+\.\d s\n00:05, 200 requests\/s, 0 failed/)
})
