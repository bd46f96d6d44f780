/** Lines that could not be used: all counted, the first few kept with file, line number and reason, for the user to look at. */
import { harmless } from '../shown.ts'

export interface BadLine {
  readonly file: string
  readonly line: number
  readonly reason: string
}

const SHOWN = 5

export class BadLines {
  readonly file: string
  count = 0
  readonly shown: BadLine[] = []

  constructor(file: string) {
    this.file = file
  }

  /** @param reason in our words; of the line itself use `shown` */
  add(line: number, reason: string): void {
    this.count++
    if (this.shown.length < SHOWN) this.shown.push({ file: this.file, line, reason: harmless(reason) })
  }

  /** One line a kept example, and one that tells how many there were. Empty when there were none. */
  describe(): string[] {
    if (this.count === 0) return []
    const told = this.shown.map(({ file, line, reason }) => `${harmless(file)}:${line}: skipped: ${reason}`)
    return this.count > this.shown.length ? [...told, `${harmless(this.file)}: ${this.count} lines skipped in all`] : told
  }
}
