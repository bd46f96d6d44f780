/**
 * The part of a terminal that is drawn over again: a block of lines below what was printed before.
 *
 * Each drawing goes back up over the last one and rewrites it, line by line, cut to the terminal's width; so nothing flickers and nothing
 * is left of a longer line. The cursor is hidden meanwhile, and given back by `end`.
 */
export interface Terminal {
  write(text: string): unknown
  readonly columns?: number
  readonly rows?: number
}

const ESC = '\u001b['

export class Screen {
  readonly #terminal: Terminal
  #lines = 0
  #isEnded = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  draw(lines: readonly string[]): void {
    if (this.#isEnded) return
    // What scrolls out at the top cannot be drawn over.
    const room = lines.slice(0, Math.max(1, (this.#terminal.rows ?? 24) - 1))
    const width = this.#terminal.columns ?? 80
    const back = this.#lines > 0 ? `${ESC}${this.#lines}F` : `${ESC}?25l`
    const rest = room.length < this.#lines ? `${ESC}0J` : ''
    this.#terminal.write(`${back}${room.map((line) => `${cut(line, width)}${ESC}0m${ESC}K\n`).join('')}${rest}`)
    this.#lines = room.length
  }

  /** What was drawn last is cleared; printing goes on from there. */
  clear(): void {
    if (this.#lines > 0) this.#terminal.write(`${ESC}${this.#lines}F${ESC}0J`)
    this.#lines = 0
  }

  /** Leaves what was drawn last where it is, and gives the cursor back. Harmless when called again. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#terminal.write(`${ESC}?25h`)
  }
}

/** Cuts to `width` characters, not counting colours. */
export function cut(line: string, width: number): string {
  let shown = 0
  let end = 0
  for (const [part] of line.matchAll(COLOUR_OR_CHARACTER)) {
    if (!part.startsWith('\u001b') && ++shown > width) break
    end += part.length
  }
  return line.slice(0, end)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
const COLOUR_OR_CHARACTER = /\u001b\[[\d;]*m|./gsu
