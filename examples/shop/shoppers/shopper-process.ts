/**
 * The shoppers' own process: its event loop is not the services', so what it measures is what a customer waits.
 *
 * It is told what to do by its parent, tells its tally four times a second, and ends with its parent, whatever becomes of that.
 */
import type { FromShoppers, ToShoppers } from './messages.ts'
import { Pace } from './pace.ts'
import { Requests } from './requests.ts'
import { TallyKeeping } from './tally-keeping.ts'
import { Visits } from './visits.ts'

const TELL_EVERY_MS = 250

let stop = () => {}

process.on('disconnect', () => process.exit(0))
// The shop decides when the shoppers stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

process.on('message', (message: ToShoppers) => {
  if (message.kind === 'stop') stop()
  else void shop(message)
})
tell({ kind: 'ready' })

async function shop({ task }: Extract<ToShoppers, { kind: 'start' }>): Promise<void> {
  const keeping = new TallyKeeping(task.productIds.length)
  const requests = new Requests(task, keeping, new Pace(task.rate))
  const visits = new Visits(task, requests, keeping)
  stop = () => {
    visits.stop()
    requests.stop()
  }
  const telling = setInterval(() => tell({ kind: 'progress', tally: keeping.tally }), TELL_EVERY_MS)
  await visits.run()
  clearInterval(telling)
  tell({ kind: 'done', tally: keeping.tally })
  await requests.close()
}

function tell(message: FromShoppers): void {
  // A parent that is gone is told of by 'disconnect', not here.
  if (process.connected) process.send?.(message, () => {})
}
