/**
 * What `npm run bench` measures in a way of its own: not how many calls a second of everybody in turn, but an own set-up with figures of an own kind.
 *
 * One file a study under `studies/`; each gives its rows as the comparisons do, so that one report holds all.
 */
import type { ContestantProcess } from './contestant-process.ts'
import type { Opened } from './entrant.ts'
import type { Row } from './row.ts'

export interface Study {
  /** For `--only`, and what the names of its rows begin with: `ring-1000`. */
  readonly name: string
  readonly title: string
  /** Rows that a run which counts must have, and judge: one without them has failed. Default: those that it finds. */
  readonly gates?: readonly string[]
  /** What it starts it stops, whatever happens. @returns its rows, judged by `StudyCall.judged`, and its figures as text */
  measure(call: StudyCall): Promise<Findings>
}

export interface StudyCall {
  /** A smoke run: everything is gone through, quickly; the figures mean nothing. */
  readonly quick: boolean
  /** A line for whoever waits. */
  say(line: string): void
  /** Those of the line-up, set up on the server that all share; they stay open for whoever is next. */
  contestants(names: readonly string[]): Promise<readonly ContestantProcess[]>
  /** The process of the server that all share: there is one from when there are contestants. */
  serverPid(): Promise<number>
  /** Ends contestants and server: what measures one of them alone asks for it, and has it go before the next. */
  dismiss(): Promise<void>
}

export interface Findings {
  /** `gated` as it should be in a run that counts; a smoke run's are not judged. */
  readonly rows: readonly Row[]
  /** For people, below the title. */
  readonly text: string
  /** More of it, for who wants to look closely. */
  readonly details?: string
  /** Why the figures may be worth less than they look. */
  readonly doubts: readonly string[]
  /** By contestant, of those that it has opened itself. */
  readonly setUps?: ReadonlyMap<string, Opened>
  /** What the page of benchmarks shows of it beside the text. */
  readonly figures?: readonly Figure[]
}

export type Figure = BarsFigure | CurvesFigure

interface AnyFigure {
  /** Of its file: `open-loop-latency`. */
  readonly name: string
  readonly title: string
}

export interface BarsFigure extends AnyFigure {
  readonly kind: 'bars'
  /** Of the values: `bytes an entry`. */
  readonly unit: string
  readonly bars: readonly Bar[]
}

export interface Bar {
  readonly label: string
  readonly value: number
  /** The lowest and the highest of several; none of one. */
  readonly spread?: readonly [number, number]
  readonly whose: Whose
}

/** Ringtail as it comes; Ringtail set up otherwise; another library; what no library could exceed. */
export type Whose = 'ours' | 'ours too' | 'peer' | 'limit'

export interface CurvesFigure extends AnyFigure {
  readonly kind: 'curves'
  readonly x: Axis
  readonly y: Axis
  readonly curves: readonly {
    readonly label: string
    readonly whose: Whose
    readonly points: readonly (readonly [x: number, y: number])[]
  }[]
}

export interface Axis {
  /** With the unit: `gets a second`. */
  readonly label: string
  readonly scale: 'linear' | 'log'
  /** Where it is marked, from end to end. Default: at round numbers. */
  readonly ticks?: readonly number[]
  /** Values beyond are cut off at the edge. */
  readonly most?: number
  /** Drawn across: what the values are to stay below. */
  readonly bound?: number
}
