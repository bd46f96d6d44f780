/**
 * `npm run journal`: the long forms of what the tests do to a journal in short, with what was found told in full.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cutEverywhere, type DamageReport, flipBits, tearRepeatedly, wipeSectors } from './damage.ts'
import { KillGround, type KillReport, STEPS } from './kills.ts'
import { traceSyncs } from './syncs.ts'

const USAGE = `What a write-behind journal survives.

  npm run journal -- kills    a process that writes behind is killed 200 times at random moments, at each step of a write's way,
                              two that share counters 40 times, and one writes on while the database is away for a minute
  npm run journal -- damage   the journal is cut at every byte, 10,000 of its bits are flipped, 1,000 of its sectors wiped, and 1,000
                              processes each lose power while a group is under way
  npm run journal -- syncs    by the system calls made: each acknowledgement follows the sync of its group (needs strace)

  --times N    kills at random moments (200)
  --flips N    bits that are flipped (10000)
  --seed N     what is drawn (1)
  --json       one JSON object on stdout
  --help       this text
`

const COMMANDS: Readonly<Record<string, (options: Options) => Promise<readonly string[]>>> = { kills, damage, syncs: traced }

interface Options {
  readonly times: number
  readonly flips: number
  readonly seed: number
  readonly report: (name: string, figures: object) => void
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let values: Record<string, string | boolean | undefined>
  let positionals: string[]
  try {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    const options = { times: text, flips: text, seed: text, json: flag, help: flag }
    ;({ values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true }))
  } catch (error) {
    return complain((error as Error).message)
  }
  if (values.help === true) {
    console.log(USAGE)
    return 0
  }
  const [name = '', ...rest] = positionals
  const command = COMMANDS[name]
  if (command === undefined || rest.length > 0)
    return complain(`needs one of ${Object.keys(COMMANDS).join(', ')}, but got: ${positionals.join(' ') || 'nothing'}`)
  const numbers: Record<string, number> = {}
  for (const [option, least, otherwise] of [
    ['times', 1, 200],
    ['flips', 1, 10_000],
    ['seed', 0, 1],
  ] as const) {
    const given = values[option] ?? String(otherwise)
    if (!/^\d{1,9}$/.test(String(given)) || Number(given) < least)
      return complain(`--${option}: needs a whole number from ${least}, but got: ${JSON.stringify(given)}`)
    numbers[option] = Number(given)
  }
  const reports: Record<string, object> = {}
  const report = (what: string, figures: object): void => {
    reports[what] = figures
    if (values.json !== true) console.log(`${what}: ${JSON.stringify(figures)}`)
  }
  const wrong = await command({ times: numbers.times!, flips: numbers.flips!, seed: numbers.seed!, report })
  if (values.json === true) console.log(JSON.stringify({ ...reports, wrong }))
  else for (const each of wrong.slice(0, 20)) console.log(`WRONG ${each}`)
  return wrong.length === 0 ? 0 : 1
}

function complain(message: string): number {
  console.error(`journal: ${message}. See --help`)
  return 2
}

async function kills({ times, seed, report }: Options): Promise<readonly string[]> {
  const ground = await KillGround.prepare(seed)
  try {
    for (let nth = 1; nth <= times; nth++) {
      await ground.killAtRandom()
      progress(`${nth} of ${times} kills at random moments`)
    }
    const missed: string[] = []
    for (const step of STEPS) {
      for (const pass of [1, 3]) {
        progress(`killed at ${step}, pass ${pass}`)
        if (!(await ground.killAt(step, pass))) missed.push(`${step} ${pass}`)
      }
    }
    for (let nth = 1; nth <= Math.ceil(times / 5); nth++) {
      await ground.killTwoAtRandom()
      progress(`${nth} of ${Math.ceil(times / 5)} times two processes were killed`)
    }
    progress('the database is away for a minute')
    const written = await ground.writeWithoutDatabase(60_000)
    const judged: KillReport = await ground.judge()
    const { wrong, ...figures } = judged
    report('kills', { ...figures, acknowledgedWithoutDatabase: written })
    return [...wrong, ...missed.map((step) => `no process came to ${step}`)]
  } finally {
    await ground.stop()
  }
}

async function damage({ flips, seed, report }: Options): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-damage-'))
  const wrong: string[] = []
  const tell = (name: string, damaged: DamageReport): void => {
    const { wrong: found, ...figures } = damaged
    report(name, { ...figures, wrong: found.length })
    wrong.push(...found)
  }
  try {
    tell(
      'cuts',
      cutEverywhere(folder, 1, (done) => done % 1_000 === 0 && progress(`${done} cuts`)),
    )
    tell(
      'flips',
      flipBits(folder, flips, seed, (done) => done % 1_000 === 0 && progress(`${done} of ${flips} flips`)),
    )
    tell(
      'wipes',
      wipeSectors(folder, flips / 10, seed, (done) => done % 1_000 === 0 && progress(`${done} of ${flips / 10} wipes`)),
    )
    tell(
      'tears',
      tearRepeatedly(folder, flips / 10, seed, (done) => done % 100 === 0 && progress(`${done} of ${flips / 10} tears`)),
    )
    return wrong
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function traced({ report }: Options): Promise<readonly string[]> {
  const { wrong, ...figures } = await traceSyncs()
  report('syncs', figures)
  return wrong
}

function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r${text}   ` : `${text}\n`)
}
