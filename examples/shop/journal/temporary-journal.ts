/**
 * A write-behind journal in a temporary folder, for a shop that is gone with its databases. One that is not keeps its journal on a disk of its own.
 *
 * The folder goes with the process, also when that is killed: a shell waits for the end of a pipe that it holds.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Journal, openJournal } from 'ringtail'
import type { UndoStack } from '../lifecycle/undo.ts'

export async function openTemporaryJournal(undo: UndoStack): Promise<Journal> {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-shop-journal-'))
  const janitor = spawn('sh', ['-c', 'cat > /dev/null; rm -rf "$0"', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  janitor.on('error', () => {})
  janitor.unref()
  ;(janitor.stdin as Socket | null)?.unref()
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true })
    janitor.stdin?.end()
  }
  undo.add({ what: `the folder ${folder}`, stop: async () => remove(), now: remove })
  const journal = await openJournal({ directory: folder })
  undo.add({ what: 'the journal', stop: () => journal.close() })
  return journal
}
