/**
 * A dictionary as zstd reads it (RFC 8878, 5): tables for literals, offsets and lengths, and the bytes that values may refer to.
 *
 * With tables in the dictionary, no value has to bring its own, which is most of what a small one would take.
 */
import { BitWriter } from './bits.ts'
import { type Cells, cellsFor, describeCells, type FseTable, fseTable, readCells } from './fse.ts'
import { codeLengths, describeLengths, type HuffmanTable, huffmanTable, readLengths } from './huffman.ts'
import { LITERAL_LENGTHS, MATCH_LENGTHS, OFFSETS } from './sequence-codes.ts'

export interface ZstdDictionary {
  readonly content: Uint8Array
  readonly literals: HuffmanTable
  readonly offsets: FseTable
  readonly matchLengths: FseTable
  readonly literalLengths: FseTable
}

/** How often each code came. */
export interface CodeCounts {
  /** By byte, 256 of them. */
  readonly literals: Uint32Array
  readonly offsets: Uint32Array
  readonly matchLengths: Uint32Array
  readonly literalLengths: Uint32Array
}

/** The last three offsets before there were any. */
export const FIRST_OFFSETS = [1, 4, 8] as const
/** The least content that zstd takes. */
export const LEAST_CONTENT_BYTES = 8

const MAGIC = [0x37, 0xa4, 0x30, 0xec]
/** Of a private range; entries name dictionaries by their content. */
const NUMBER = [0x01, 0x00, 0x01, 0x00]
const LOGS = { offsets: 8, matchLengths: 9, literalLengths: 9 }
const TABLES_BYTES = 1_024

export function noCounts(): CodeCounts {
  return {
    literals: new Uint32Array(256),
    offsets: new Uint32Array(OFFSETS.symbols),
    matchLengths: new Uint32Array(MATCH_LENGTHS.symbols),
    literalLengths: new Uint32Array(LITERAL_LENGTHS.symbols),
  }
}

/** @param content at least 8 bytes, at most 128 KiB */
export function composeDictionary(content: Uint8Array, counts: CodeCounts): Buffer {
  const out = new BitWriter(TABLES_BYTES)
  for (const byte of [...MAGIC, ...NUMBER]) out.put(byte, 8)
  describeLengths(out, codeLengths(counts.literals))
  for (const kind of ['offsets', 'matchLengths', 'literalLengths'] as const) {
    describeCells(out, cellsFor(counts[kind], LOGS[kind]), LOGS[kind])
    out.close()
  }
  for (const offset of FIRST_OFFSETS) for (let byte = 0; byte < 4; byte++) out.put((offset >> (8 * byte)) & 0xff, 8)
  return Buffer.concat([out.bytes.subarray(0, out.length), content])
}

/** @returns undefined for what `composeDictionary` does not make: it may be a dictionary all the same */
export function readDictionary(bytes: Uint8Array): ZstdDictionary | undefined {
  if (MAGIC.some((byte, at) => bytes[at] !== byte)) return undefined
  const literals = readLengths(bytes, MAGIC.length + NUMBER.length)
  const offsets = literals && readCells(bytes, literals.end)
  const matchLengths = offsets && readCells(bytes, offsets.end)
  const literalLengths = matchLengths && readCells(bytes, matchLengths.end)
  if (literalLengths === undefined) return undefined
  const start = literalLengths.end + 4 * FIRST_OFFSETS.length
  const isOurs =
    offsets!.cells.length === OFFSETS.symbols &&
    matchLengths!.cells.length === MATCH_LENGTHS.symbols &&
    literalLengths.cells.length === LITERAL_LENGTHS.symbols &&
    bytes.length >= start + LEAST_CONTENT_BYTES &&
    FIRST_OFFSETS.every((offset, nth) => bytes[literalLengths.end + 4 * nth] === offset)
  const tableOf = ({ cells, log }: { readonly cells: Cells; readonly log: number }): FseTable => fseTable(cells, log)
  return isOurs
    ? {
        content: bytes.subarray(start),
        literals: huffmanTable(literals!.lengths),
        offsets: tableOf(offsets!),
        matchLengths: tableOf(matchLengths!),
        literalLengths: tableOf(literalLengths),
      }
    : undefined
}
