/**
 * Tells the user what is going on: steps with bars, then the live view; on anything but a terminal, plain lines.
 *
 * With `--json` all of it goes to stderr, for stdout is the report's.
 */
import type { OnProgress } from '../data/lines.ts'
import { harmless } from '../shown.ts'
import { bar, clockTime, count, milliseconds, percent } from './format.ts'
import { type Fixed, LiveView, lately, type Moment } from './live-view.ts'
import { Screen, type Terminal } from './screen.ts'

export interface Output extends Terminal {
  readonly isTTY?: boolean
}

/** A plain line of progress at most this often. */
const LINE_EVERY_MS = 1_000
/** A plain line of the running shop, in moments. */
const MOMENTS_A_LINE = 10
const DRAW_EVERY_MS = 50

interface Step {
  readonly name: string
  readonly startMs: number
  fraction: number
  toldMs: number
  doneMs: number | undefined
}

export class Teller {
  readonly #output: Output
  readonly #screen: Screen | undefined
  readonly #steps: Step[] = []
  #drawnMs = 0
  #view: LiveView | undefined
  #moments: Moment[] = []

  constructor(output: Output) {
    this.#output = output
    this.#screen = output.isTTY === true ? new Screen(output) : undefined
  }

  /** A line that stays. */
  line(text: string): void {
    this.#screen?.clear()
    this.#output.write(`${text}\n`)
    this.#drawSteps(true)
  }

  /** @returns to be told how far the step is; 1 ends it */
  step(name: string): OnProgress {
    const now = performance.now()
    const step: Step = { name: harmless(name), startMs: now, fraction: 0, toldMs: now, doneMs: undefined }
    this.#steps.push(step)
    this.#drawSteps(true)
    return (fraction) => this.#progressed(step, fraction)
  }

  /** Runs a step that has no measure of its own. */
  async during<T>(name: string, work: Promise<T>): Promise<T> {
    const progressed = this.step(name)
    const result = await work
    progressed(1)
    return result
  }

  /** From here on, moments. */
  run(fixed: Fixed): void {
    this.#steps.length = 0
    this.#screen?.clear()
    this.#view = new LiveView(fixed, process.env.NO_COLOR === undefined)
  }

  moment(moment: Moment): void {
    if (this.#screen !== undefined) {
      this.#screen.draw(this.#view!.next(moment))
      return
    }
    this.#moments.push(moment)
    if (this.#moments.length <= MOMENTS_A_LINE) return
    this.#output.write(`${plainMoment(this.#moments)}\n`)
    this.#moments = [moment]
  }

  /** Gives the terminal back. Harmless when called again. */
  end(): void {
    this.#steps.length = 0
    this.#screen?.end()
  }

  #progressed(step: Step, fraction: number): void {
    if (step.doneMs !== undefined) return
    step.fraction = fraction
    const now = performance.now()
    if (fraction >= 1) step.doneMs = now
    if (this.#screen !== undefined) this.#drawSteps(step.doneMs !== undefined)
    else if (step.doneMs !== undefined) this.#output.write(`${step.name}: ${seconds(step)}\n`)
    else if (now - step.toldMs >= LINE_EVERY_MS) {
      step.toldMs = now
      this.#output.write(`${step.name}: ${percent(fraction, 0)}\n`)
    }
  }

  #drawSteps(now: boolean): void {
    if (this.#screen === undefined || this.#view !== undefined || this.#steps.length === 0) return
    if (!now && performance.now() - this.#drawnMs < DRAW_EVERY_MS) return
    this.#drawnMs = performance.now()
    this.#screen.draw(
      this.#steps.map(
        (step) =>
          ` ${bar(step.doneMs === undefined ? step.fraction : 1, 24)}  ${step.name}${step.doneMs === undefined ? '' : `  ${seconds(step)}`}`,
      ),
    )
  }
}

function seconds(step: Step): string {
  return `${((step.doneMs! - step.startMs) / 1_000).toFixed(1)} s`
}

function plainMoment(moments: readonly Moment[]): string {
  const { perSecond, hitRate, hit, miss, queries, avoided } = lately(moments)
  const { elapsedMs, tally } = moments.at(-1)!
  return [
    clockTime(elapsedMs),
    `${count(perSecond)} requests/s`,
    `${count(tally.requests.failed)} failed`,
    `hit rate ${percent(hitRate)}`,
    `hit p99 ${milliseconds(hit.p99)}`,
    `miss p99 ${milliseconds(miss.p99)}`,
    `${count(queries)} statements/s, ${count(avoided)} avoided`,
    `${count(tally.orders.accepted)} orders accepted, ${count(tally.orders.refused)} refused`,
  ].join(', ')
}
