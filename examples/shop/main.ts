/**
 * `npm start`: the shop on the command line.
 *
 * Exit codes: 0 the shop ran and its books are right (also when Ctrl-C ended it); 1 something failed, or its books are wrong: each reason is
 * a line on stderr; 2 it was asked for something that cannot be; 130 or 143 it was interrupted before it had opened. Whatever happens,
 * nothing that was started is left behind.
 */
import { Interrupted, listenForInterruption } from './lifecycle/interruption.ts'
import { watchParent } from './lifecycle/parent.ts'
import { UndoStack } from './lifecycle/undo.ts'
import { parseOptions, type ShopOptions, USAGE } from './options.ts'
import { wrongInBooks } from './report/books.ts'
import { runShop } from './shop.ts'
import { UsageError } from './usage-error.ts'
import { summarize } from './view/summary.ts'
import { Teller } from './view/teller.ts'

const SIGNAL_EXIT: Readonly<Partial<Record<NodeJS.Signals, number>>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGPIPE: 141 }

process.exitCode = await main(process.argv.slice(2))
// Whatever still holds the process open was to be stopped, and was.
process.exit()

async function main(args: readonly string[]): Promise<number> {
  let options: ShopOptions
  try {
    const parsed = parseOptions(args)
    if (parsed === 'help') {
      await print(process.stdout, USAGE)
      return 0
    }
    options = parsed
  } catch (error) {
    return await failed(error)
  }
  return await day(options)
}

async function day(options: ShopOptions): Promise<number> {
  const undo = new UndoStack()
  const teller = new Teller(options.json ? process.stderr : process.stdout)
  process.on('exit', () => {
    teller.end()
    for (const trouble of undo.now()) process.stderr.write(`left to stop: ${trouble}\n`)
  })
  const interruption = listenForInterruption((name) => process.exit(SIGNAL_EXIT[name] ?? 1))
  watchParent(() => interruption.interrupt('SIGTERM'))
  // Whoever listened has gone, `head` for one: the shop ends as if told to, and says nothing of it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interruption.interrupt('SIGPIPE'))
  let code = 0
  try {
    const report = await runShop(options, teller, undo, interruption.signal)
    teller.end()
    await print(
      process.stdout,
      options.json ? `${JSON.stringify(report)}\n` : summarize(report, Math.min(110, process.stdout.columns ?? 110)),
    )
    const wrong = wrongInBooks(report)
    for (const each of wrong) await print(process.stderr, `${each}\n`)
    if (wrong.length > 0) code = 1
  } catch (error) {
    teller.end()
    if (error instanceof Interrupted) await print(process.stderr, `${process.stderr.isTTY === true ? '\n' : ''}stopped\n`)
    code = error instanceof Interrupted ? (SIGNAL_EXIT[interruption.name() ?? 'SIGINT'] ?? 1) : await failed(error)
  }
  for (const trouble of await undo.run()) await print(process.stderr, `left to stop: ${trouble}\n`)
  return code
}

/** @returns the exit code */
async function failed(error: unknown): Promise<number> {
  if (error instanceof UsageError) {
    await print(process.stderr, `${error.message}\nSee npm start -- --help\n`)
    return 2
  }
  await print(process.stderr, `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
}

/** Waits until the stream has it: a pipe would otherwise lose the rest at the exit. */
function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()))
}
