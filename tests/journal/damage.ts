/**
 * What becomes of a journal that was cut or bent: it opens with a prefix of what was written, or says that it is damaged.
 *
 * The journal is as a crash leaves it: half of its groups were written back into the file, the others, of other keys, are in its log alone. Each copy of it is
 * harmed once and opened. Prefixes are whole groups; anything else that it opened with is a wrong row.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { JournalError } from '../../src/errors.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { JOURNAL_FILE, JournalFile } from '../../src/journal/journal-file.ts'
import { seededRandom } from '../../src/testing/index.ts'

const MAX_BYTES = 10_000_000
/** Small, so that it can be cut at every byte; and with pages of all kinds. */
const SMALL = { groups: 8, keys: 6 }
const LARGE = { groups: 80, keys: 200 }
const FILES = [JOURNAL_FILE, `${JOURNAL_FILE}-wal`]

export interface DamageReport {
  /** Opened with all that was written, with less of it, and not at all. */
  readonly whole: number
  readonly prefix: number
  readonly refused: number
  /** What it opened with that was no prefix, or how it failed without a message. */
  readonly wrong: readonly string[]
}

interface Crashed {
  readonly directory: string
  /** As text, the empty one first. */
  readonly prefixes: readonly string[]
}

type Found = readonly Pick<JournalRecord, 'key' | 'version' | 'body'>[]

/** @param folder an empty one @param told of progress */
export function cutEverywhere(folder: string, every: number, told: (done: number) => void = () => {}): DamageReport {
  const crashed = crash(folder, SMALL)
  const harms = FILES.flatMap((name) => {
    const { size } = statSync(join(crashed.directory, name))
    return Array.from({ length: Math.ceil(size / every) }, (_, nth) => ({ name, length: nth * every }))
  })
  return harm(folder, crashed, harms, told, (copy, { name, length }) => truncateSync(join(copy, name), length))
}

export function flipBits(folder: string, flips: number, seed: number, told: (done: number) => void = () => {}): DamageReport {
  const random = seededRandom(seed)
  const harms = Array.from({ length: flips }, (_, nth) => ({
    name: FILES[nth % FILES.length]!,
    at: random(),
    bit: Math.floor(random() * 8),
  }))
  return harm(folder, crash(folder, LARGE), harms, told, (copy, { name, at, bit }) => {
    const bytes = readFileSync(join(copy, name))
    bytes[Math.floor(at * bytes.length)]! ^= 1 << bit
    writeFileSync(join(copy, name), bytes)
  })
}

function harm<H>(
  folder: string,
  { directory, prefixes }: Crashed,
  harms: readonly H[],
  told: (done: number) => void,
  bend: (copy: string, harm: H) => void,
): DamageReport {
  const known = new Set(prefixes)
  const report = { whole: 0, prefix: 0, refused: 0, wrong: [] as string[] }
  for (const [nth, each] of harms.entries()) {
    const copy = copyOf(directory, join(folder, 'bent'))
    bend(copy, each)
    const found = opened(copy)
    if (typeof found === 'string') {
      if (found === '') report.refused++
      else report.wrong.push(`${JSON.stringify(each)}: ${found}`)
    } else {
      const text = textOf(found)
      if (!known.has(text) || found.some(({ body }) => body.some((byte) => byte !== 120)))
        report.wrong.push(`${JSON.stringify(each)}: opened with ${text}`)
      else if (text === prefixes.at(-1)) report.whole++
      else report.prefix++
    }
    told(nth + 1)
  }
  return report
}

/** @returns what it holds; '' when it was refused with a message; else how it failed */
function opened(directory: string): Found | string {
  try {
    const { file, recovered } = JournalFile.open(directory, MAX_BYTES)
    file.close()
    return recovered.records
  } catch (error) {
    if (error instanceof JournalError && error.message.includes(directory)) return ''
    return `failed with ${error}`
  }
}

function crash(folder: string, { groups, keys }: typeof SMALL): Crashed {
  const directory = join(folder, 'whole')
  rmSync(directory, { recursive: true, force: true })
  const held = new Map<string, JournalRecord>()
  const prefixes = [textOf([])]
  const random = seededRandom(5)
  let file = JournalFile.open(directory, MAX_BYTES).file
  for (let group = 1; group <= groups; group++) {
    if (group === groups / 2) {
      // Closing writes the log back.
      file.close()
      file = JournalFile.open(directory, MAX_BYTES).file
    }
    const records = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, nth) =>
      drawn(random, group < groups / 2 ? 'early' : 'late', keys, group * 10 + nth),
    )
    file.commit(records.map((record) => ({ do: 'write', record }) as const))
    for (const record of records) held.set(record.key, record)
    prefixes.push(textOf([...held.values()]))
  }
  const copy = copyOf(directory, join(folder, 'crashed'))
  file.close()
  return { directory: copy, prefixes }
}

function drawn(random: () => number, when: string, keys: number, version: number): JournalRecord {
  const body = Buffer.alloc(Math.floor(random() * 400), 'x')
  return { cache: 'cart', key: `${when} ${Math.floor(random() * keys)}`, version: BigInt(version), op: 'save', body }
}

function textOf(records: Found): string {
  return records
    .map(({ key, version, body }) => `${key}@${version}:${body.length}`)
    .sort()
    .join(' ')
}

function copyOf(from: string, to: string): string {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to)
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name))
  return to
}
