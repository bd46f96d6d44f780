/**
 * What becomes of a journal that a crash tore, or that was cut or bent.
 *
 * The journal is of many groups of steps of every kind, of each of which it is known where it lies and that it was synced. A torn one opens with
 * all that was synced, however often it happens. One of which a bit flipped opens with all that was written, or without the last group where the
 * bit was that group's, or says that it is damaged; so does one of which a sector is gone. A log that was cut opens with just the groups before the cut.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { JournalError } from '../../src/errors.ts'
import { JournalFile } from '../../src/journal/journal-file.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { JournalModel, textOf } from './model.ts'
import { endOf, type Files, filesOf, layFiles, MAX_BYTES, SECTOR_BYTES, type State, saltsOf, torn, writeGroups } from './written.ts'

/** Small, so that it can be cut at every byte; with a log that was begun anew, and pages of all kinds. */
const SMALL = { groups: 23, keys: 6, checkpointPages: 20 }
const LARGE = { groups: 90, keys: 150, checkpointPages: 160 }

export interface DamageReport {
  /** Opened with all that was written, with less of it, and not at all. */
  readonly whole: number
  readonly prefix: number
  readonly refused: number
  /** What it opened with that it should not have, or how it failed. */
  readonly wrong: readonly string[]
}

type Told = (done: number) => void

/** What a harmed journal may open with; `undefined`: it may be refused. */
interface Harmed extends Files {
  readonly what: string
  readonly may: readonly (string | undefined)[]
}

/** @param folder an empty one @param told of progress */
export function cutEverywhere(folder: string, every: number, told: Told = () => {}): DamageReport {
  const states = writeGroups(join(folder, 'whole'), SMALL, seededRandom(5))
  const last = states.at(-1)!
  if (saltsOf(last.log).equals(saltsOf(states[1]!.log)) || last.isWrittenBack)
    throw new Error('its log is not of some of its groups: draw another')
  const lengths = (bytes: Buffer) => Array.from({ length: Math.ceil(bytes.length / every) }, (_, nth) => nth * every)
  const cuts: Harmed[] = [
    ...lengths(last.main).map((length) => ({
      what: `file cut at ${length}`,
      main: last.main.subarray(0, length),
      log: last.log,
      may: [last.text, undefined],
    })),
    ...lengths(last.log).map((length) => ({
      what: `log cut at ${length}`,
      main: last.main,
      log: last.log.subarray(0, length),
      may: [beforeCut(states, length).text],
    })),
  ]
  return judge(folder, last, cuts, told)
}

/** Bits flip one at a time, in the log and in the file. */
export function flipBits(folder: string, flips: number, seed: number, told: Told = () => {}): DamageReport {
  return bend(folder, flips, seed, told, (bytes, at, random) => {
    bytes[at]! ^= 1 << Math.floor(random() * 8)
    return `bit of ${at} flipped`
  })
}

/** Sectors of which nothing is left. */
export function wipeSectors(folder: string, wipes: number, seed: number, told: Told = () => {}): DamageReport {
  return bend(folder, wipes, seed, told, (bytes, at) => {
    const from = at - (at % SECTOR_BYTES)
    bytes.fill(0, from, from + SECTOR_BYTES)
    return `sector at ${from} gone`
  })
}

/** One process after the other goes on from what a loss of power has left of the one before. */
export function tearRepeatedly(folder: string, lives: number, seed: number, told: Told = () => {}): DamageReport {
  const random = seededRandom(seed)
  const directory = join(folder, 'torn')
  rmSync(directory, { recursive: true, force: true })
  const report = { whole: 0, prefix: 0, refused: 0, wrong: [] as string[] }
  let model = new JournalModel()
  for (let life = 1; life <= lives; life++) {
    const { file } = JournalFile.open(directory, MAX_BYTES, 60)
    let [before, after] = [filesOf(directory), filesOf(directory)]
    let earlier = model
    for (let group = Math.floor(random() * 8); group >= 0; group--) {
      earlier = model
      model = new JournalModel(model)
      file.commit(model.draw(random, 20))
      before = after
      after = filesOf(directory)
    }
    file.close()
    const share = random()
    const left = torn(before, after, () => random() < share)
    const found = open(directory, left)
    layFiles(directory, left)
    if (found === model.text()) report.whole++
    else if (found === earlier.text()) {
      report.prefix++
      model = earlier
    } else {
      report.wrong.push(`life ${life}: ${found ?? 'was refused'}, and should be ${earlier.text()}`)
      return report
    }
    told(life)
  }
  return report
}

function bend(
  folder: string,
  times: number,
  seed: number,
  told: Told,
  harm: (bytes: Buffer, at: number, random: () => number) => string,
): DamageReport {
  const random = seededRandom(seed)
  const states = writeGroups(join(folder, 'whole'), LARGE, random)
  // With a last group that is not alone in its log.
  const end = states.findLastIndex(({ log }, nth) => nth > 1 && saltsOf(log).equals(saltsOf(states[nth - 1]!.log)))
  const [before, last] = states.slice(end - 1, end + 1) as [State, State]
  const lastGroup = [endOf(before.log), endOf(last.log)] as const
  const harms = Array.from({ length: times }, (_, nth): Harmed => {
    const [main, log] = [Buffer.from(last.main), Buffer.from(last.log)]
    const bytes = nth % 3 === 0 ? main : log
    const at = Math.floor(random() * bytes.length)
    const what = `${bytes === main ? 'file' : 'log'}: ${harm(bytes, at, random)}`
    const isLast = bytes === log && log.subarray(...lastGroup).compare(last.log.subarray(...lastGroup)) !== 0
    return { what, main, log, may: isLast ? [last.text, undefined, before.text] : [last.text, undefined] }
  })
  return judge(folder, last, harms, told)
}

/** The last state of which nothing lay behind the cut; before its log was begun, all was written back. */
function beforeCut(states: readonly State[], length: number): State {
  const salts = saltsOf(states.at(-1)!.log)
  return states.findLast(({ log }) => !saltsOf(log).equals(salts) || endOf(log) <= length)!
}

function judge(folder: string, { text: whole }: State, harms: readonly Harmed[], told: Told): DamageReport {
  const report = { whole: 0, prefix: 0, refused: 0, wrong: [] as string[] }
  for (const [nth, { what, may, ...files }] of harms.entries()) {
    const found = open(join(folder, 'harmed'), files)
    if (!may.includes(found)) report.wrong.push(`${what}: ${found === undefined ? 'was refused' : `opened with ${found}`}`)
    else if (found === undefined) report.refused++
    else if (found === whole) report.whole++
    else report.prefix++
    told(nth + 1)
  }
  return report
}

/** @returns what a journal of these files holds, or how it failed; undefined when it was refused with a message, and left as it was if its log is at fault */
function open(directory: string, files: Files): string | undefined {
  layFiles(directory, files)
  try {
    const { file, recovered } = JournalFile.open(directory, MAX_BYTES)
    try {
      return textOf(recovered.records, file.listDead(-1, 0))
    } finally {
      file.close()
    }
  } catch (error) {
    if (!(error instanceof JournalError && error.reason === 'damaged' && error.message.includes(directory))) return `failed with ${error}`
    const { main, log } = filesOf(directory)
    if (/its log/.test(error.message) && !(main.equals(files.main) && log.equals(files.log))) return 'refused, but was changed'
    return undefined
  }
}
