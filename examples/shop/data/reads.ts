/**
 * A read trace: which object was read, in order.
 *
 * An object is a whole line (`type,id,idx`, or `key`). Objects are numbered in order of first appearance, so a trace of five million reads
 * is one array of 20 MB; the names of the objects are not kept.
 */
import { shown } from '../shown.ts'
import { UsageError } from '../usage-error.ts'
import { BadLines } from './bad-lines.ts'
import { type OnProgress, readLines } from './lines.ts'

export interface Reads {
  /** The objects read, in order. */
  readonly order: Int32Array
  /** Distinct objects: `order` holds 0 … objects − 1. */
  readonly objects: number
  /** Lines after the most that are read. */
  readonly leftOut: number
  readonly bad: BadLines
}

const LINE_OF: Readonly<Record<string, RegExp>> = { 'type,id,idx': /^\d+,\d+,\d+$/, key: /^[^,\s]{1,200}$/ }

/** More objects than this are more products than the shop is made for. */
const MAX_OBJECTS = 1_000_000
/** 400 MB of reads; what follows is left out. */
const MAX_READS = 100_000_000

/** @param most reads; what follows is counted as left out @throws UsageError when the file cannot be read or is no read trace */
export async function readReads(file: string, onProgress?: OnProgress, most: number = MAX_READS): Promise<Reads> {
  const bad = new BadLines(file)
  const numbers = new Map<string, number>()
  let order = new Int32Array(1 << 12)
  let count = 0
  let leftOut = 0
  let shape: RegExp | undefined
  for await (const batch of readLines(file, '--reads', onProgress)) {
    const from = shape === undefined ? 1 : 0
    shape ??= shapeOf(file, batch.lines[0]!)
    while (count + Math.min(batch.lines.length, most - count) > order.length) order = grown(order)
    for (let index = from; index < batch.lines.length; index++) {
      const line = batch.lines[index]!
      if (count === most) {
        leftOut += batch.lines.length - index
        break
      }
      let object = numbers.get(line)
      if (object === undefined) {
        if (!shape.test(line)) {
          if (line !== '') bad.add(batch.first + index, `not a line of the header's shape: ${shown(line)}`)
          continue
        }
        if (numbers.size === MAX_OBJECTS) throw UsageError.of(`--reads ${file}`, `at most ${MAX_OBJECTS} distinct objects`, 'more')
        object = numbers.size
        numbers.set(line, object)
      }
      order[count++] = object
    }
  }
  if (count === 0) throw UsageError.of(`--reads ${file}`, 'at least one read', 'none')
  return { order: order.slice(0, count), objects: numbers.size, leftOut, bad }
}

function shapeOf(file: string, header: string): RegExp {
  const shape = LINE_OF[header.replace('\uFEFF', '').trim()]
  if (shape === undefined) throw UsageError.of(`--reads ${file}`, 'CSV with the header "type,id,idx" or "key"', shown(header))
  return shape
}

function grown(order: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(order.length * 2)
  larger.set(order)
  return larger
}
