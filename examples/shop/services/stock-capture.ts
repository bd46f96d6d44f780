/**
 * Stock by change data capture: whoever changes it, by whatever way, the shop shows it within moments.
 *
 * Orders have the cache refreshed themselves, so that a customer sees what is left the moment an order is answered. A delivery that is booked
 * by SQL, a correction by hand, another program: those the shop hears of from the database, by a follower for each shard. Of the log
 * the row as it now is goes straight into the cache, and no statement is needed. A database that is given may have no log to follow; there
 * triggers write changes to an outbox, and what is cached of them is removed.
 */
import { type Capture, captureStatus, RingtailError, setUpCapture, type Tier, takeDownCapture } from 'ringtail'
import { STOCK_TABLE } from '../database/schema.ts'
import { SCHEMA, type Shard } from '../database/shards.ts'
import type { UndoStack } from '../lifecycle/undo.ts'
import type { ShopCaches } from './caches.ts'

export interface StockCapture {
  readonly shard: string
  readonly mode: 'replication' | 'outbox'
  readonly capture: Capture
}

export interface StockCaptureParts {
  readonly tier: Tier
  readonly stock: ShopCaches['stock']
  readonly shards: readonly Shard[]
  readonly databaseUrls: readonly string[]
  /** The databases are given, and are left as they were. */
  readonly given: boolean
  /** Is told which shard's stock is captured otherwise than by its log, and why. */
  readonly say: (line: string) => void
}

/** Resolves when all shards that can be followed are. */
export async function captureStock(parts: StockCaptureParts, undo: UndoStack): Promise<StockCapture[]> {
  const captures = await Promise.all(parts.shards.map((_, index) => captureShard(parts, index, undo)))
  return captures.filter((each) => each !== undefined)
}

async function captureShard(parts: StockCaptureParts, index: number, undo: UndoStack): Promise<StockCapture | undefined> {
  const { given, say, shards } = parts
  const { id } = shards[index]!
  for (const mode of ['replication', 'outbox'] as const) {
    const reason = await follow(parts, index, mode, undo).catch((error) => {
      if (!given || !(error instanceof RingtailError)) throw error
      return error.message
    })
    if (typeof reason !== 'string') return reason
    say(
      mode === 'replication'
        ? `${id}: changes of stock come by an outbox, not by the log: ${reason}`
        : `${id}: changes of stock by others are shown when what is cached is over: ${reason}`,
    )
  }
  return undefined
}

/** @returns or else why what is there is not used */
async function follow(
  { tier, stock, shards, databaseUrls, given }: StockCaptureParts,
  index: number,
  mode: StockCapture['mode'],
  undo: UndoStack,
): Promise<StockCapture | string> {
  const { id: shard } = shards[index]!
  const outbox = mode === 'outbox'
  // A server that has several of the shards knows slots by their names alone.
  const name = `${SCHEMA}_${index}`
  const [database, tables] = [databaseUrls[index]!, [STOCK_TABLE.table]]
  const preparation = { database, tables, slot: name, publication: name, outbox }
  const there = await captureStatus(preparation)
  if (outbox && there.outbox !== undefined) return 'there is an outbox already, which is not ours to change'
  if (!outbox && (there.slot ?? there.publication) !== undefined)
    return `there is a slot or publication ${name} already (of a shop that was killed? ringtail-capture down --slot ${name} --publication ${name})`
  let capture: Capture | undefined
  undo.add({
    what: `the capture of stock on ${shard}`,
    stop: async () => {
      await capture?.close()
      // A server of our own goes as a whole.
      if (given) await takeDownCapture(preparation)
    },
  })
  await setUpCapture(preparation)
  capture = await tier.captureChanges({
    database,
    mode,
    slot: name,
    publication: name,
    tables: [{ ...STOCK_TABLE, cache: stock, apply: outbox ? 'invalidate' : 'refresh' }],
  })
  return { shard, mode, capture }
}
