/**
 * What a journal and its worker say to each other.
 *
 * The bodies of a group's records travel as one piece of memory, for a body may be a small window on a large buffer, all of which would be
 * copied with it.
 */
import type { JournalError } from '../errors.ts'
import type { DeadLetter, JournalCounts, JournalRecord, JournalStep } from './journal.ts'

export interface WorkerSetting {
  readonly directory: string
  readonly maxBytes: number
}

export interface GroupMessage {
  readonly do: 'commit'
  readonly id: number
  /** Their bodies are empty, and lie in `bodies` in order, of these lengths. */
  readonly steps: readonly JournalStep[]
  readonly lengths: readonly number[]
  readonly bodies: Uint8Array
}

export type ToWorker =
  | GroupMessage
  | { readonly do: 'list'; readonly id: number; readonly limit: number; readonly after: number }
  | { readonly do: 'close' }

interface Failure {
  readonly message: string
  readonly reason: JournalError['reason']
}

export type FromWorker =
  | {
      readonly is: 'open'
      readonly records: readonly JournalRecord[]
      readonly counts: JournalCounts
    }
  | ({ readonly is: 'failed' } & Failure)
  | { readonly is: 'done'; readonly id: number; readonly counts: JournalCounts }
  | ({ readonly is: 'undone'; readonly id: number; readonly counts: JournalCounts } & Failure)
  | ({ readonly is: 'unlisted'; readonly id: number } & Failure)
  | { readonly is: 'listed'; readonly id: number; readonly letters: readonly DeadLetter[] }
  | { readonly is: 'closed' }

const EMPTY = new Uint8Array(0)

export function packed(id: number, steps: readonly JournalStep[]): GroupMessage {
  const lengths: number[] = []
  let total = 0
  for (const step of steps) {
    if (!('record' in step)) continue
    lengths.push(step.record.body.length)
    total += step.record.body.length
  }
  const bodies = new Uint8Array(total)
  let at = 0
  const light = steps.map((step): JournalStep => {
    if (!('record' in step)) return step
    bodies.set(step.record.body, at)
    at += step.record.body.length
    return { do: step.do, record: { ...step.record, body: EMPTY } }
  })
  return { do: 'commit', id, steps: light, lengths, bodies }
}

export function unpacked({ steps, lengths, bodies }: GroupMessage): JournalStep[] {
  let nth = 0
  let at = 0
  return steps.map((step): JournalStep => {
    if (!('record' in step)) return step
    const body = bodies.subarray(at, at + lengths[nth]!)
    at += lengths[nth++]!
    return { do: step.do, record: { ...step.record, body } }
  })
}
