/**
 * What `npm run bench` measures in a way of its own: not how many calls a second of everybody in turn, but an own set-up with figures of an own kind.
 *
 * One file a study under `studies/`; each gives its rows as the comparisons do, so that one report holds all.
 */
import type { Row } from './report.ts'

export interface Study {
  /** For `--only`, and what the names of its rows begin with: `ring-1000`. */
  readonly name: string
  readonly title: string
  /** What it starts it stops, whatever happens. @returns its rows, judged by `StudyCall.judged`, and its figures as text */
  measure(call: StudyCall): Promise<Findings>
}

export interface StudyCall {
  /** A smoke run: everything is gone through, quickly; the figures mean nothing. */
  readonly quick: boolean
  /** A line for whoever waits. */
  say(line: string): void
}

export interface Findings {
  /** `gated` as it should be in a run that counts; a smoke run's are not judged. */
  readonly rows: readonly Row[]
  /** For people, below the title. */
  readonly text: string
  /** Why the figures may be worth less than they look. */
  readonly doubts: readonly string[]
}
