/**
 * What is demanded while more is asked than can be done: that something is shed, that what can be done is, and that the generator could ask.
 */
import { failureOf, type Judging, SHED } from './failures.ts'
import type { RequestRow } from './request-log.ts'

/** Of all that was due; more, and it is not the tier that was overloaded. */
const MOST_UNSENT = 0.1
/** Of the changes, which only the database can make. */
const LEAST_SHED = 0.05

/** @returns why the generator did not ask for as much as it was to */
export function notOffered(window: readonly RequestRow[]): string | undefined {
  const unsent = window.filter(({ result }) => result === 'unsent').length
  return unsent > MOST_UNSENT * window.length ? `${unsent} of ${window.length} were not sent in time` : undefined
}

/** @param usualRate requests a second before the window @returns why what can be done was not */
export function lowGoodput(window: readonly RequestRow[], windowMs: number, usualRate: number, judging: Judging): string | undefined {
  const answered = window.filter((each) => !['refused', 'unsent'].includes(each.result) && failureOf(each, judging) === undefined)
  const rightRate = (answered.length * 1_000) / windowMs
  return rightRate < usualRate ? `${Math.round(rightRate)} right answers a second, and ${Math.round(usualRate)} are usual` : undefined
}

/** @returns why it was no overload */
export function noOverload(window: readonly RequestRow[]): string | undefined {
  const changes = window.filter(({ kind }) => kind === 'write' || kind === 'delete')
  const shed = changes.filter(({ result, code }) => result === 'refused' && code === SHED).length
  return shed >= LEAST_SHED * changes.length ? undefined : `of ${changes.length} changes only ${shed} were shed: it was no overload`
}
