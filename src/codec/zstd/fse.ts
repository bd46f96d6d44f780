/**
 * Finite state entropy, the coding of zstd's sequences (RFC 8878, 4.1), for tables in which every symbol up to a last one has a place.
 *
 * A table is a distribution over 2^log cells. To decode, a state is a cell: it names a symbol, and with some bits more the next state. To
 * encode, symbols are taken from the last to the first, each moving the state to a cell of its own and giving off the bits that lead back.
 */
import type { BitWriter } from './bits.ts'

export interface FseTable {
  readonly log: number
  /** By cell: the symbol; how many bits lead on; from which state. */
  readonly symbols: Uint8Array
  readonly bitCounts: Uint8Array
  readonly nextStates: Uint16Array
  /** By symbol, to encode; see FSE's own `symbolTT`. */
  readonly deltaBits: Int32Array
  readonly deltaStates: Int32Array
  readonly states: Uint16Array
  /** By symbol: what coding it costs, bits. */
  readonly prices: Float32Array
}

/** A distribution: cells by symbol, none 0; −1: one cell, for what is rarer than that. */
export type Cells = Int16Array

/** Cells for counts: every symbol gets at least one. @param log so that 2^log is more than there are symbols */
export function cellsFor(counts: ArrayLike<number>, log: number): Cells {
  const size = 1 << log
  const symbols = counts.length
  const total = Array.from(counts).reduce((sum, count) => sum + count, 0) || 1
  const cells = new Int16Array(symbols)
  let left = size
  for (let symbol = 0; symbol < symbols; symbol++) {
    const share = (counts[symbol]! * size) / total
    cells[symbol] = share < 1 ? -1 : Math.floor(share)
    left -= Math.abs(cells[symbol]!)
  }
  // What is over or lacking goes to those that it makes the least difference to.
  while (left !== 0) {
    let best = -1
    let bestGain = Number.NEGATIVE_INFINITY
    for (let symbol = 0; symbol < symbols; symbol++) {
      const now = Math.abs(cells[symbol]!)
      if (left < 0 && now < 2) continue
      const gain = counts[symbol]! * Math.log2(left > 0 ? (now + 1) / now : (now - 1) / now)
      if (gain > bestGain) {
        bestGain = gain
        best = symbol
      }
    }
    cells[best] = Math.abs(cells[best]!) + (left > 0 ? 1 : -1)
    left += left > 0 ? -1 : 1
  }
  return cells
}

export function fseTable(cells: Cells, log: number): FseTable {
  const size = 1 << log
  const symbols = spread(cells, size)
  const bitCounts = new Uint8Array(size)
  const nextStates = new Uint16Array(size)
  const next = Uint16Array.from(cells, Math.abs)
  const starts = new Uint16Array(cells.length)
  for (let symbol = 1; symbol < cells.length; symbol++) starts[symbol] = starts[symbol - 1]! + Math.abs(cells[symbol - 1]!)
  const states = new Uint16Array(size)
  const placed = Uint16Array.from(starts)
  for (let cell = 0; cell < size; cell++) {
    const symbol = symbols[cell]!
    const state = next[symbol]!++
    bitCounts[cell] = log - highBit(state)
    nextStates[cell] = (state << bitCounts[cell]!) - size
    states[placed[symbol]!++] = size + cell
  }
  const deltaBits = new Int32Array(cells.length)
  const deltaStates = new Int32Array(cells.length)
  for (let symbol = 0; symbol < cells.length; symbol++) {
    const count = Math.abs(cells[symbol]!)
    const most = count === 1 ? log : log - highBit(count - 1)
    deltaBits[symbol] = count === 1 ? (log << 16) - size : (most << 16) - (count << most)
    deltaStates[symbol] = starts[symbol]! - count
  }
  const prices = Float32Array.from(cells, (count) => log - Math.log2(Math.abs(count)))
  return { log, symbols, bitCounts, nextStates, deltaBits, deltaStates, states, prices }
}

/** The state that the last symbol leaves, without a bit. */
export function firstState({ deltaBits, deltaStates, states }: FseTable, symbol: number): number {
  const bits = (deltaBits[symbol]! + (1 << 15)) >> 16
  return states[(((bits << 16) - deltaBits[symbol]!) >> bits) + deltaStates[symbol]!]!
}

/** @returns the state that the symbol leaves */
export function putSymbol(out: BitWriter, { deltaBits, deltaStates, states }: FseTable, state: number, symbol: number): number {
  const bits = (state + deltaBits[symbol]!) >> 16
  out.put(state, bits)
  return states[(state >> bits) + deltaStates[symbol]!]!
}

/** The description of a table, as it stands in a dictionary. */
export function describeCells(out: BitWriter, cells: Cells, log: number): void {
  out.put(log - 5, 4)
  let remaining = (1 << log) + 1
  let threshold = 1 << log
  let bits = log + 1
  for (let symbol = 0; symbol < cells.length && remaining > 1; symbol++) {
    const most = 2 * threshold - 1 - remaining
    remaining -= Math.abs(cells[symbol]!)
    let value = cells[symbol]! + 1
    if (value >= threshold) value += most
    out.put(value, value < most ? bits - 1 : bits)
    while (remaining < threshold) {
      bits--
      threshold >>= 1
    }
  }
}

/** @returns undefined for what `describeCells` does not make */
export function readCells(
  bytes: Uint8Array,
  start: number,
): { readonly cells: Cells; readonly log: number; readonly end: number } | undefined {
  let at = start * 8
  const peek = (count: number): number => {
    let value = 0
    for (let bit = 0; bit < count; bit++) value |= (((bytes[(at + bit) >> 3] ?? 0) >> ((at + bit) & 7)) & 1) << bit
    return value
  }
  const log = peek(4) + 5
  at += 4
  if (log > 9) return undefined
  const cells: number[] = []
  let remaining = (1 << log) + 1
  let threshold = 1 << log
  let bits = log + 1
  while (remaining > 1 && cells.length < 64) {
    const most = 2 * threshold - 1 - remaining
    let value = peek(bits - 1)
    if (value < most) at += bits - 1
    else {
      value = peek(bits)
      at += bits
      if (value >= threshold) value -= most
    }
    const count = value - 1
    if (count === 0) return undefined
    cells.push(count)
    remaining -= Math.abs(count)
    while (remaining < threshold && threshold > 1) {
      bits--
      threshold >>= 1
    }
  }
  return remaining === 1 ? { cells: Int16Array.from(cells), log, end: (at + 7) >> 3 } : undefined
}

function spread(cells: Cells, size: number): Uint8Array {
  const symbols = new Uint8Array(size)
  let last = size - 1
  for (const [symbol, count] of cells.entries()) if (count === -1) symbols[last--] = symbol
  const step = (size >> 1) + (size >> 3) + 3
  let at = 0
  for (const [symbol, count] of cells.entries()) {
    for (let nth = 0; nth < count; nth++) {
      symbols[at] = symbol
      do at = (at + step) & (size - 1)
      while (at > last)
    }
  }
  return symbols
}

export function highBit(value: number): number {
  return 31 - Math.clz32(value)
}
