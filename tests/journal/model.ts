/**
 * What a journal should hold, step by step, and steps of every kind to give it.
 */
import type { DeadLetter, JournalRecord, JournalStep } from '../../src/journal/journal.ts'

const CACHE = 'cart'

type Letter = Omit<DeadLetter, 'cache' | 'body'> & { readonly body: Uint8Array }

export class JournalModel {
  readonly #records: Map<string, JournalRecord>
  readonly #letters: Map<number, Letter>
  #version: number
  #ids: number

  /** @param from what it begins with, else nothing */
  constructor(from?: JournalModel) {
    this.#records = new Map(from === undefined ? [] : from.#records)
    this.#letters = new Map(from === undefined ? [] : from.#letters)
    this.#version = from === undefined ? 0 : from.#version
    this.#ids = from === undefined ? 0 : from.#ids
  }

  /** A group of one to five steps after which something is different, and which it carries out. */
  draw(random: () => number, keys: number): JournalStep[] {
    const before = this.text()
    const steps: JournalStep[] = []
    for (let count = 1 + Math.floor(random() * 4); steps.length < count || this.text() === before; ) {
      const step = this.#drawn(random, `key ${Math.floor(random() * keys)}`)
      this.#apply(step)
      steps.push(step)
    }
    return steps
  }

  /** All of it, so that two that hold the same are the same text. */
  text(): string {
    return textOf([...this.#records.values()], [...this.#letters.values()])
  }

  #drawn(random: () => number, key: string): JournalStep {
    const draw = random()
    const held = this.#records.get(key)
    const ids = [...this.#letters.keys()]
    if (draw < 0.15 && held !== undefined) return { do: 'forget', cache: CACHE, key, version: held.version + BigInt(draw < 0.05 ? 1 : 0) }
    if (draw < 0.3 && held !== undefined)
      return { do: 'bury', cache: CACHE, key, version: held.version, reason: `refused ${'!'.repeat(random() * 90)}`, atMs: this.#version }
    if (draw < 0.4 && ids.length > 0) return { do: draw < 0.35 ? 'retry' : 'drop', id: ids[Math.floor(random() * ids.length)]! }
    const body = Buffer.alloc(Math.floor(random() ** 3 * 3_000), 'x')
    return { do: 'write', record: { cache: CACHE, key, version: BigInt(++this.#version), op: random() < 0.2 ? 'remove' : 'save', body } }
  }

  #apply(step: JournalStep): void {
    if (step.do === 'write') this.#put(step.record)
    else if (step.do === 'forget') this.#records.delete(step.key)
    else if (step.do === 'bury') {
      const record = this.#records.get(step.key)!
      this.#records.delete(step.key)
      this.#letters.set(++this.#ids, { ...record, id: this.#ids, reason: step.reason, atMs: step.atMs })
    } else {
      const letter = this.#letters.get(step.id)!
      this.#letters.delete(step.id)
      if (step.do === 'retry') this.#put({ ...letter, cache: CACHE })
    }
  }

  #put(record: JournalRecord): void {
    const held = this.#records.get(record.key)
    if (held === undefined || held.version < record.version) this.#records.set(record.key, record)
  }
}

export function textOf(
  records: readonly Pick<JournalRecord, 'key' | 'version' | 'op' | 'body'>[],
  letters: readonly Pick<DeadLetter, 'id' | 'key' | 'version' | 'op' | 'body' | 'reason' | 'atMs'>[],
): string {
  const told = ({ key, version, op, body }: Pick<JournalRecord, 'key' | 'version' | 'op' | 'body'>): string =>
    `${key}@${version} ${op} ${Buffer.from(body).equals(Buffer.alloc(body.length, 'x')) ? body.length : 'bent'}`
  return [
    ...records.map(told).sort(),
    ...letters.map((letter) => `${letter.id}: ${told(letter)} ${letter.reason} ${letter.atMs}`).sort(),
  ].join('\n')
}
