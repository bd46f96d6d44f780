/**
 * Ringtail's write-behind journal alone, in a temporary folder: what an acknowledgement costs before any node is asked.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openJournal } from 'ringtail'
import type { Peer } from '../harness/contestant.ts'

export const ringtailJournal: Peer = {
  name: 'ringtail-journal',
  packages: ['ringtail'],
  page: 'docs/write-behind.md',
  async open() {
    const directory = mkdtempSync(join(tmpdir(), 'ringtail-bench-journal-'))
    const journal = await openJournal({ directory })
    let version = 0n
    return {
      get: async () => undefined,
      set: (key, product) =>
        journal.write({ cache: 'product', key, version: ++version, op: 'save', body: Buffer.from(JSON.stringify(product)) }),
      close: async () => {
        await journal.close()
        rmSync(directory, { recursive: true, force: true })
      },
    }
  },
}
