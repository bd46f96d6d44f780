/** Lines over an axis, named beside it, each at the height at which it ends as far as there is room. */
import type { Axis, CurvesFigure } from '../harness/study.ts'
import { element, LINE_COLOURS, picture, text, widthOf } from './svg.ts'
import { linearTicks, logTicks, short } from './ticks.ts'

const WIDTH = 780
const HEIGHT = 460
const TOP = 52
const BOTTOM = 56
const LEFT = 78
const MARGIN = 16
/** Between the names of two lines, at least. */
const NAME_HEIGHT = 17

export function curvesPlot({ title, x, y, curves }: CurvesFigure): string {
  const right = Math.max(...curves.map(({ label }) => widthOf(label)), 40) + MARGIN + 36
  const points = curves.flatMap((curve) => curve.points)
  const across = scaleOf(
    x,
    points.map(([each]) => each),
    LEFT,
    WIDTH - right,
  )
  const up = scaleOf(
    y,
    points.map(([, each]) => each),
    HEIGHT - BOTTOM,
    TOP,
  )
  const grid = [
    ...across.ticks.flatMap((tick) => [
      element('line', { class: 'grid', x1: across.at(tick), x2: across.at(tick), y1: TOP, y2: HEIGHT - BOTTOM }),
      text(across.at(tick), HEIGHT - BOTTOM + 18, short(tick), { class: 'faint', 'text-anchor': 'middle' }),
    ]),
    ...up.ticks.flatMap((tick) => [
      element('line', { class: 'grid', x1: LEFT, x2: WIDTH - right, y1: up.at(tick), y2: up.at(tick) }),
      text(LEFT - 8, up.at(tick) + 4.5, short(tick), { class: 'faint', 'text-anchor': 'end' }),
    ]),
    ...(y.bound === undefined
      ? []
      : [element('line', { class: 'bound', x1: LEFT, x2: WIDTH - right, y1: up.at(y.bound), y2: up.at(y.bound) })]),
  ]
  const middle = (TOP + HEIGHT - BOTTOM) / 2
  const labels = [
    text((LEFT + WIDTH - right) / 2, HEIGHT - 14, x.label, { class: 'faint', 'text-anchor': 'middle' }),
    text(20, middle, y.label, { class: 'faint', 'text-anchor': 'middle', transform: `rotate(-90 20 ${middle})` }),
  ]
  const ends = apart(curves.map(({ points: own }) => ({ y: up.at(own.at(-1)?.[1] ?? 0), x: across.at(own.at(-1)?.[0] ?? 0) })))
  // Ours last, on top of the others.
  const order = curves.map((_, nth) => nth).sort((a, b) => Number(curves[a]!.whose === 'ours') - Number(curves[b]!.whose === 'ours'))
  const lines = order.flatMap((nth) => {
    const { label, whose, points: own } = curves[nth]!
    const isOurs = whose === 'ours'
    const colour = isOurs ? 'var(--ours)' : LINE_COLOURS[nth % LINE_COLOURS.length]!
    const path = own.map(([px, py]) => `${across.at(px).toFixed(1)},${up.at(py).toFixed(1)}`)
    const look = isOurs ? { class: 'own-line' } : { stroke: colour, 'stroke-width': 1.75 }
    const y = ends[nth]!
    return [
      element('polyline', { points: path.join(' '), 'stroke-linejoin': 'round', ...look }),
      ...own.map(([px, py]) => element('circle', { cx: across.at(px), cy: up.at(py), r: isOurs ? 3.5 : 2.5, style: `fill: ${colour}` })),
      element('line', { x1: WIDTH - right + 10, x2: WIDTH - right + 28, y1: y, y2: y, ...look }),
      text(WIDTH - right + 34, y + 4.5, label, { style: `fill: ${colour}${isOurs ? '; font-weight: bold' : ''}` }),
    ]
  })
  return picture(WIDTH, HEIGHT, title, [text(MARGIN, 26, title, { class: 'title' }), ...grid, ...labels, ...lines])
}

interface Scale {
  readonly ticks: readonly number[]
  at(value: number): number
}

function scaleOf(
  { scale, most = Number.POSITIVE_INFINITY, bound, ticks: own }: Axis,
  values: readonly number[],
  from: number,
  to: number,
): Scale {
  const all = [...values, ...(bound === undefined ? [] : [bound])].filter((each) => each > 0 || scale === 'linear')
  const highest = Math.min(most, Math.max(...all))
  const ticks = own ?? (scale === 'log' ? logTicks(Math.min(...all), highest) : linearTicks(highest))
  const place = (value: number): number => (scale === 'log' ? Math.log(value) : value)
  const [low, high] = [place(ticks[0]!), place(ticks.at(-1)!)]
  const at = (value: number): number => from + ((to - from) * (Math.max(low, Math.min(high, place(value))) - low)) / (high - low || 1)
  return { ticks, at }
}

/** @param ends where lines end @returns their heights, moved no farther than that names do not lie on each other; of one height, the farthest first */
function apart(ends: readonly { readonly x: number; readonly y: number }[]): number[] {
  const order = ends.map((_, nth) => nth).sort((a, b) => ends[a]!.y - ends[b]!.y || ends[b]!.x - ends[a]!.x)
  const placed = ends.map(({ y }) => y)
  let lowest = TOP - NAME_HEIGHT
  for (const nth of order) {
    placed[nth] = Math.max(placed[nth]!, lowest + NAME_HEIGHT)
    lowest = placed[nth]!
  }
  let highest = HEIGHT - BOTTOM + NAME_HEIGHT
  for (const nth of order.toReversed()) {
    placed[nth] = Math.min(placed[nth]!, highest - NAME_HEIGHT)
    highest = placed[nth]!
  }
  return placed
}
