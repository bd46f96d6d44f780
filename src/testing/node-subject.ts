/**
 * What the tests of cache nodes are made of: entries by their offsets alone, a watcher that can be waited for, and short ways to say things.
 */
import assert from 'node:assert/strict'
import { systemClock } from '../clock.ts'
import { FORMAT, HEADER_BYTES, KIND_BYTE, type Lease, MAGIC, OFFSET } from '../codec/envelope.ts'
import type { EntryKind, Version } from '../entry.ts'
import type { CacheNode, Change, NodeCall, Status, Watcher } from '../node/node.ts'

export interface NodeUnderTest {
  /** Connected, and empty; its clock is no more than an hour behind the system's, nor two minutes ahead of it. */
  readonly node: CacheNode
  /** Remaining time to live as the engine tells it, past the node: ms, 0 for none, undefined for no such key. */
  ttlMs(key: string): Promise<number | undefined>
  /** Lets time pass, where the node's clock can be moved. Without it, expiry is judged by `ttlMs` alone. */
  pass?(ms: number): Promise<void>
  /** Called after each test, also after one that closed the node. */
  cleanup(): Promise<void>
}

/** How a part of the suite registers a test: a fact, and the check of it on a node of its own. */
export type Promises = (fact: string, check: (under: NodeUnderTest) => Promise<void>) => void

/** For what may take longer than a try of the hot path, such as a megabyte on a busy machine. */
export const PATIENT = { timeoutMs: 5_000 }

export class Heard implements Watcher {
  readonly keys = new Set<string>()
  readonly everHeard = new Set<string>()
  readonly losses: string[] = []
  #wake: () => void = () => {}

  changed(keys: readonly string[]): void {
    for (const key of keys) {
      this.keys.add(key)
      this.everHeard.add(key)
    }
    this.#wake()
  }

  lost(reason: string): void {
    this.losses.push(reason)
    this.#wake()
  }

  /** Resolves when it has been told of all these. */
  async of(...wanted: string[]): Promise<void> {
    while (!wanted.every((key) => this.keys.has(key))) await this.#more()
  }

  /** Resolves when something was lost. */
  async loss(): Promise<string> {
    while (this.losses.length === 0) await this.#more()
    return this.losses[0]!
  }

  #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    return promise
  }
}

export function put(key: string, bytes: Uint8Array, ttlMs = 60_000): Extract<Change, { op: 'put' }> {
  return { op: 'put', key, bytes, ttlMs }
}

/** When entries begin unless a test says otherwise: an hour from now, for what is from the future is never too late. */
export const BEGUN_MS = systemClock.now() + 3_600_000

export interface EnvelopeParts {
  readonly kind?: EntryKind
  readonly freshUntilMs?: number
  /** ms since the epoch, or their low 32 bits. */
  readonly begun?: number
  readonly lease?: Lease
  readonly payload?: string | Uint8Array
}

/** An envelope by its offsets alone: this suite needs no codec. */
export function envelope(version: Version, of: EnvelopeParts = {}): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[OFFSET.magic] = MAGIC
  header[OFFSET.format] = FORMAT
  header[OFFSET.kind] = KIND_BYTE[of.kind ?? 'value']
  header.writeBigUInt64BE(version, OFFSET.version)
  header.writeUIntBE(of.freshUntilMs ?? 1_000, OFFSET.freshUntil, 6)
  header.writeUInt32BE((of.begun ?? BEGUN_MS) % 2 ** 32, OFFSET.begun)
  header.writeUInt32BE(of.lease?.token ?? 0, OFFSET.leaseToken)
  header.writeUInt32BE(of.lease?.until ?? 0, OFFSET.leaseUntil)
  return Buffer.concat([header, Buffer.from(of.payload ?? `payload of ${version}`)])
}

export function bytes(text: string): Buffer {
  return Buffer.from(text)
}

export function got(node: CacheNode, key: string, call?: NodeCall): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => node.get(key, { answered: resolve, failed: reject }, call))
}

/** `change` as a promise. */
export function changed(node: CacheNode, change: Change, call?: NodeCall): Promise<Status> {
  return new Promise((resolve) => node.change(change, { settled: resolve }, call))
}

export function assertApplied(statuses: readonly Status[]): void {
  for (const status of statuses) assert.deepEqual(status, { state: 'applied' })
}

export function assertBytes(actual: Uint8Array | undefined, expected: Uint8Array | undefined): void {
  assert.ok(actual !== undefined && expected !== undefined, 'bytes were expected')
  assert.ok(Buffer.compare(actual, expected) === 0, `${actual.length} bytes are not the ${expected.length} expected`)
}

export function assertWithin(actual: number | undefined, min: number, max: number): void {
  assert.ok(actual !== undefined && actual >= min && actual <= max, `needs ${min} to ${max}, but got: ${actual}`)
}
