/**
 * A process that writes into a journal and nothing else, and says of each write when it is tried and when it was acknowledged.
 */
import { openSync, writeSync } from 'node:fs'
import { openJournal } from '../../src/index.ts'
import type { SyncSetting } from './syncs.ts'

const { directory, log: path, callers, each, bytes } = JSON.parse(process.argv[2]!) as SyncSetting
const log = openSync(path, 'a')
const say = (line: string): void => void writeSync(log, `${line}\n`)

const journal = await openJournal({ directory })
let last = 0
const write = async (): Promise<void> => {
  for (let turn = 0; turn < each; turn++) {
    const id = ++last
    say(`try ${id}`)
    try {
      await journal.write({ cache: 'c', key: `k${id}`, version: BigInt(id), op: 'save', body: Buffer.from(`#${id}#`.padEnd(bytes, 'x')) })
      say(`ok ${id}`)
    } catch (error) {
      say(`no ${id} ${(error as { reason?: string }).reason}`)
    }
  }
}
await Promise.all(Array.from({ length: callers }, write))
await journal.close()
say('closed')
