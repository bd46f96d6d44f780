/**
 * What a client process notes of its requests, in two files of its own, which outlive it: what was done and seen, and what was about to be written.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { HistoryRecorder, type Operation } from '../../src/testing/index.ts'
import { type ClientSetting, historyFile, triesFile } from './chaos-messages.ts'
import type { RequestNotes, Tried } from './requester.ts'

export class NotesOnDisk implements RequestNotes {
  readonly #recorder: HistoryRecorder
  readonly #tries: number

  constructor({ folder, process, life }: Pick<ClientSetting, 'folder' | 'process' | 'life'>) {
    this.#recorder = new HistoryRecorder(historyFile(folder, process, life))
    this.#tries = openSync(triesFile(folder, process, life), 'a')
  }

  tries(change: Tried): void {
    writeSync(this.#tries, `${JSON.stringify(change)}\n`)
  }

  changed(change: Operation): void {
    this.#recorder.record(change)
    this.#recorder.flush()
  }

  saw(read: Operation): void {
    this.#recorder.record(read)
  }

  close(): void {
    this.#recorder.close()
    closeSync(this.#tries)
  }
}
