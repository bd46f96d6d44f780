/**
 * The thread in which a journal waits for the disk.
 *
 * It opens the file, tells what it found, and then carries out one group after the other, in the order in which they come. It knows nothing of
 * caches, stores or callers.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { asError, JournalError } from '../errors.ts'
import { JournalFile } from './journal-file.ts'
import { type FromWorker, type ToWorker, unpacked, type WorkerSetting } from './journal-message.ts'

function run({ directory, maxBytes }: WorkerSetting): void {
  const port = parentPort!
  const tell = (message: FromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)
  let file: JournalFile
  try {
    const opened = JournalFile.open(directory, maxBytes)
    file = opened.file
    tell({ is: 'open', ...opened.recovered, ...countsOf(file) })
  } catch (thrown) {
    tell({ is: 'failed', ...failureOf(thrown) })
    port.close()
    return
  }
  port.on('message', (message: ToWorker) => {
    if (message.do === 'close') {
      file.close()
      tell({ is: 'closed' })
      port.close()
    } else if (message.do === 'list') {
      try {
        tell({ is: 'listed', id: message.id, letters: file.listDead(message.limit, message.after) })
      } catch (thrown) {
        tell({ is: 'unlisted', id: message.id, ...failureOf(thrown) })
      }
    } else {
      try {
        file.commit(unpacked(message))
        tell({ is: 'done', id: message.id, ...countsOf(file) })
      } catch (thrown) {
        tell({ is: 'undone', id: message.id, ...failureOf(thrown), ...countsOf(file) })
      }
    }
  })
}

function countsOf({ records, deadLetters, bytes }: JournalFile) {
  return { counts: { records, deadLetters, bytes } }
}

function failureOf(thrown: unknown) {
  const error = asError(thrown)
  return { message: error.message, reason: error instanceof JournalError ? error.reason : ('broken' as const) }
}

run(workerData as WorkerSetting)
