/**
 * SVG as text: elements with their attributes, and the look that all plots share.
 *
 * A plot is shown as a picture of its own on a page that may be light or dark, so it brings its own ground and turns with what the reader's
 * system prefers. Colours are classes: whose a thing is decides them, and a theme is a block of style.
 */

export const FONT_SIZE = 13
/** A character's mean width in the fonts that are likely; plots leave room by it. */
const CHARACTER_WIDTH = 7

const LIGHT = {
  ground: '#ffffff',
  text: '#1f2328',
  faint: '#59636e',
  grid: '#e3e7ec',
  ours: '#0969da',
  'ours-too': '#79b8ff',
  peer: '#9aa4af',
  limit: '#c9a227',
  bound: '#cf222e',
}
const DARK: typeof LIGHT = {
  ground: '#0d1117',
  text: '#e6edf3',
  faint: '#9198a1',
  grid: '#262c36',
  ours: '#58a6ff',
  'ours-too': '#2f6db5',
  peer: '#6e7681',
  limit: '#d4a72c',
  bound: '#f85149',
}
/** Told apart on either ground. */
export const LINE_COLOURS = ['#8250df', '#bf8700', '#1a7f37', '#cf5c36', '#0a9396', '#bf3989', '#6e7781', '#7c6f00', '#5470c6', '#9e6a5b']

type Attributes = Readonly<Record<string, string | number>>

/** @param content elements already made */
export function element(name: string, attributes: Attributes, ...content: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${typeof value === 'number' ? round(value) : escaped(value)}"`)
  return content.length === 0 ? `<${name}${written.join('')}/>` : `<${name}${written.join('')}>${content.join('')}</${name}>`
}

export function text(x: number, y: number, words: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(words))
}

export function widthOf(words: string): number {
  return words.length * CHARACTER_WIDTH
}

/** A whole picture, with its title for whoever does not see it. */
export function picture(width: number, height: number, title: string, content: readonly string[]): string {
  const size = { width, height, viewBox: `0 0 ${round(width)} ${round(height)}` }
  const family = 'system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif'
  const style = [
    `text { font: ${FONT_SIZE}px ${family}; fill: var(--text) } .faint { fill: var(--faint) } .title { font-weight: 600; font-size: 15px }`,
    '.ground { fill: var(--ground) } .grid { stroke: var(--grid) } .spread { stroke: var(--text); stroke-width: 1.5 }',
    '.ours { fill: var(--ours) } .ours-too { fill: var(--ours-too) } .peer { fill: var(--peer) } .limit { fill: var(--limit) }',
    '.bound { stroke: var(--bound); stroke-dasharray: 5 4 } .own-line { stroke: var(--ours); stroke-width: 3 } polyline { fill: none }',
    `svg { ${variables(LIGHT)} } @media (prefers-color-scheme: dark) { svg { ${variables(DARK)} } }`,
  ].join('\n')
  const parts = [
    element('title', {}, escaped(title)),
    `<style>\n${style}\n</style>`,
    element('rect', { class: 'ground', width, height, rx: 6 }),
    ...content,
  ]
  return `${element('svg', { xmlns: 'http://www.w3.org/2000/svg', role: 'img', ...size }, `\n${parts.join('\n')}\n`)}\n`
}

export function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function variables(colours: typeof LIGHT): string {
  return Object.entries(colours)
    .map(([name, colour]) => `--${name}: ${colour}`)
    .join('; ')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
