/**
 * What the scripts are told: changes and asks as the arguments that `scripts/apply.lua` and `scripts/lease.lua` document.
 *
 * An argument costs the server more than the bytes in it, so a put has two of them, what it shares with others (its letter) stands in one
 * string for the whole batch, and an ask has none of its own.
 */
import { MAX_FRESH_UNTIL_MS } from '../codec/envelope.ts'
import { wholeLeaseMs } from './judge-lease.ts'
import type { Change, LeaseAsk } from './node.ts'
import { asBuffer } from './redis-reply.ts'
import type { Argument } from './resp-writer.ts'

/** Bytes of an ask: see `scripts/lease.lua`. */
export const ASK_BYTES = 27

/** The script, the number of keys, the keys, and the arguments of `scripts/apply.lua`. */
export function applyArguments(script: string, changes: readonly Change[]): Argument[] {
  const args: Argument[] = [script, changes.length]
  for (let i = 0; i < changes.length; i++) args.push(changes[i]!.key)
  const lettersAt = args.push('') - 1
  let letters = ''
  for (let i = 0; i < changes.length; i++) letters += pushChange(args, changes[i]!)
  args[lettersAt] = letters
  return args
}

/** @returns the letter of the change */
function pushChange(args: Argument[], change: Change): string {
  switch (change.op) {
    case 'put':
      return pushPut(args, change)
    case 'touch':
      args.push(versionBytes(change.version), Math.floor(Math.min(change.freshUntilMs, MAX_FRESH_UNTIL_MS)), wholeTtl(change.ttlMs))
      return 't'
    case 'release':
      args.push(tokenBytes(change.lease))
      return 'r'
    case 'set':
      args.push(asBuffer(change.bytes), wholeTtl(change.ttlMs))
      return 's'
    case 'drop':
      return 'd'
  }
}

function pushPut(args: Argument[], { bytes, ttlMs, expected, lease, issuedMs }: Extract<Change, { op: 'put' }>): string {
  args.push(asBuffer(bytes), wholeTtl(ttlMs))
  let letter = 'p'
  if (lease !== undefined) {
    args.push(tokenBytes(lease))
    letter = 'f'
  } else if (expected !== undefined) {
    args.push(versionBytes(expected))
    letter = 'c'
  }
  if (issuedMs === undefined) return letter
  args.push(Math.floor(issuedMs))
  return letter.toUpperCase()
}

/** The script, the number of keys, the keys, and the argument of `scripts/lease.lua`. */
export function leaseArguments(script: string, asks: readonly LeaseAsk[]): Argument[] {
  const args: Argument[] = [script, asks.length]
  const packed = Buffer.allocUnsafe(asks.length * ASK_BYTES)
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length)
  for (let i = 0; i < asks.length; i++) {
    const { key, token, leaseMs, seen, force } = asks[i]!
    args.push(key)
    const at = i * ASK_BYTES
    view.setUint32(at, token)
    view.setUint32(at + 4, wholeLeaseMs(leaseMs))
    view.setBigUint64(at + 8, seen.version)
    view.setUint16(at + 16, seen.freshUntilMs / 2 ** 32)
    view.setUint32(at + 18, seen.freshUntilMs)
    view.setUint32(at + 22, seen.begun)
    view.setUint8(at + 26, force === true ? 1 : 0)
  }
  args.push(packed)
  return args
}

/** PX takes whole numbers from 1: what has less left than that is stored to die at once, so that it still takes an older one's place. */
function wholeTtl(ttlMs: number): number {
  return ttlMs === 0 ? 0 : Math.max(1, Math.ceil(ttlMs))
}

function versionBytes(version: bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, version))
  return bytes
}

function tokenBytes(token: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(token >>> 0)
  return bytes
}
