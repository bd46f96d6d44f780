/**
 * Bars side by side, with the spread of what they are the median of.
 *
 * A limit far beyond all others is cut off at the edge, which a notch in its bar shows: those that it is there for would not be told apart.
 */
import type { Bar, BarsFigure } from '../harness/study.ts'
import { element, picture, text, widthOf } from './svg.ts'
import { linearTicks, short } from './ticks.ts'

const WIDTH = 780
const ROW = 28
const BAR = 18
const TOP = 52
const BOTTOM = 48
const MARGIN = 16
/** How many times the highest other figure a limit is, to be cut off. */
const FAR = 1.6

export function barsPlot({ title, unit, bars }: BarsFigure): string {
  const shown = bars.filter(({ value }) => Number.isFinite(value))
  const left = MARGIN + Math.max(...shown.map(({ label }) => widthOf(label)), 40) + 10
  const figures = shown.map(({ value }) => (value < 10_000 ? short(value) : Math.round(value).toLocaleString('en-US')))
  const right = Math.max(...figures.map(widthOf), 40) + MARGIN + 8
  const ticks = linearTicks(highestOf(shown))
  const most = ticks.at(-1)!
  const bottom = TOP + shown.length * ROW
  const at = (value: number): number => left + ((WIDTH - left - right) * Math.min(value, most)) / most
  const grid = ticks.flatMap((tick) => [
    element('line', { class: 'grid', x1: at(tick), x2: at(tick), y1: TOP - 6, y2: bottom }),
    text(at(tick), bottom + 16, short(tick), { class: 'faint', 'text-anchor': 'middle' }),
  ])
  const rows = shown.flatMap((bar, nth) => {
    const { label, value, spread, whose } = bar
    const y = TOP + nth * ROW
    const middle = y + BAR / 2
    const end = at(highest(bar))
    const isCut = value > most
    return [
      text(left - 10, middle + 4.5, label, { 'text-anchor': 'end', ...(whose === 'ours' && { style: 'font-weight: bold' }) }),
      element('rect', { class: whose.replace(' ', '-'), x: left, y, width: Math.max(1, at(value) - left), height: BAR, rx: 2 }),
      ...(isCut ? [notch(at(most) - 26, y)] : spread === undefined ? [] : whisker(at(spread[0]), at(spread[1]), middle)),
      text(end + 8, middle + 4.5, figures[nth]!),
    ]
  })
  const axis = text((left + WIDTH - right) / 2, bottom + 36, unit, { class: 'faint', 'text-anchor': 'middle' })
  return picture(WIDTH, bottom + BOTTOM, title, [text(MARGIN, 26, title, { class: 'title' }), ...grid, ...rows, axis])
}

function highestOf(bars: readonly Bar[]): number {
  const others = Math.max(...bars.filter(({ whose }) => whose !== 'limit').map(highest), 0)
  const all = Math.max(...bars.map(highest), 0)
  return others > 0 && all > FAR * others ? others : all
}

function highest({ value, spread }: Bar): number {
  return Math.max(value, spread?.[1] ?? 0)
}

function notch(x: number, y: number): string {
  return element('path', { class: 'ground', d: `M${x} ${y + BAR + 1} l6 ${-BAR - 2} h5 l-6 ${BAR + 2} z` })
}

function whisker(from: number, to: number, y: number): string[] {
  const ends = [from, to].map((x) => element('line', { class: 'spread', x1: x, x2: x, y1: y - 4, y2: y + 4 }))
  return [element('line', { class: 'spread', x1: from, x2: to, y1: y, y2: y }), ...ends]
}
