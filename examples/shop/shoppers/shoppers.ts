/** The shop's side of its shoppers: starts their process, hears their tally, stops them. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type UndoStack, within } from '../lifecycle/undo.ts'
import type { FromShoppers, ShoppersTask, Tally, ToShoppers } from './messages.ts'
import { emptyTally } from './tally-keeping.ts'

export interface Shoppers {
  /** The newest tally. */
  readonly tally: () => Tally
  /** Rejects if their process ends by itself. */
  readonly failed: Promise<never>
  /** Lets the requests at hand finish. @returns the final tally */
  stop(): Promise<Tally>
}

/** A request takes at most a second, and one visit has one at hand. */
const STOP_WITHIN_MS = 5_000

export async function startShoppers(task: ShoppersTask, undo: UndoStack): Promise<Shoppers> {
  const child = fork(fileURLToPath(new URL('shopper-process.ts', import.meta.url)), {
    serialization: 'advanced',
    // Ctrl-C in the terminal is for the shop, which stops the shoppers in its own order.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = () => child.kill('SIGKILL')
  undo.add({ what: 'the shoppers', stop: () => Promise.resolve(kill()).then(() => gone), now: kill })

  let tally = emptyTally()
  const done = Promise.withResolvers<Tally>()
  const ready = Promise.withResolvers<void>()
  const failed = Promise.withResolvers<never>()
  child.on('message', (message: FromShoppers) => {
    if (message.kind === 'ready') return ready.resolve()
    tally = message.tally
    if (message.kind === 'done') done.resolve(tally)
  })
  child.once('error', (error) => failed.reject(error))
  child.once('exit', (code, signal) => failed.reject(new Error(`the shoppers' process ended with ${signal ?? `code ${code}`}`)))
  failed.promise.catch(() => {})

  await Promise.race([ready.promise, failed.promise])
  const say = (message: ToShoppers) =>
    new Promise<void>((resolve, reject) => child.send(message, (error) => (error === null ? resolve() : reject(error))))
  await say({ kind: 'start', task })
  return {
    tally: () => tally,
    failed: failed.promise,
    async stop() {
      await say({ kind: 'stop' })
      return await within(Promise.race([done.promise, failed.promise]), STOP_WITHIN_MS)
    },
  }
}
