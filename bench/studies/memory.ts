/**
 * What an entry takes: in the heap of a process that keeps it near, and in the server's memory.
 *
 * Each library fills a server of its own, from a process of its own, with products that nobody else holds; what the heap of that process has
 * grown by after a collection, and the server's `used_memory`, are divided by the entries. Beside it stands what the JSON and its key are themselves.
 */
import { Redis } from 'ioredis-6'
import { startRedisServer } from 'ringtail/testing'
import type { Contestant, Ground } from '../harness/contestant.ts'
import { ContestantProcess } from '../harness/contestant-process.ts'
import type { Opened } from '../harness/entrant.ts'
import { fill } from '../harness/fill.ts'
import { inTurn } from '../harness/in-turn.ts'
import { catalogue, JSON_BYTES, PRODUCTS, type Product } from '../harness/products.ts'
import { aligned, type Row, whole } from '../harness/report.ts'
import type { BarsFigure, Findings, Study, StudyCall } from '../harness/study.ts'
import type { TaskCall } from '../harness/task.ts'

const NEAR = ['ringtail-near', 'bentocache-memory', 'cacheable-memory', 'cache-manager-memory', 'layered-loader-memory', 'lru-cache']
const FAR = ['ringtail', 'ioredis', 'node-redis', 'glide', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader']
const QUICK_ENTRIES = 200
const TTL_MS = 3_600_000
const PATIENCE_MS = 10_000

interface Weight {
  readonly name: string
  readonly setUp: Opened
  /** Bytes an entry. */
  readonly heap: number
  readonly server: number
}

/** In the contestant's process, which Node runs with `--expose-gc`. @returns by how many bytes its heap has grown an entry */
export async function weigh({ contestant, ground }: TaskCall<unknown>): Promise<number> {
  const all = catalogue(ground.products)
  // What a library makes once, and the code that it runs, is no entry's.
  await fill(contestant, { keys: ['warm'], products: [all.products[0]!] })
  const before = await settledBytes()
  await fillWithOwn(contestant, all.products)
  return ((await settledBytes()) - before) / all.products.length
}

export const memory: Study = {
  name: 'memory',
  title: 'memory an entry: 256 B of JSON under a key of 13 B',
  measure: async (call) => found(await weights(NEAR, call), await weights(FAR, call)),
}

/** Keys and values are made anew, and dropped, and read once, for a near cache keeps what was read. */
async function fillWithOwn(contestant: Contestant, products: readonly Product[]): Promise<void> {
  for (const product of products) {
    const own: Product = JSON.parse(JSON.stringify(product))
    const key = Buffer.from(product.sku).toString()
    await contestant.set(key, own)
    const read = await contestant.get(key)
    if (read?.id !== product.id) throw new Error(`needed product ${product.id}, but got: ${JSON.stringify(read)}`)
  }
}

async function settledBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function weights(names: readonly string[], { quick, say }: StudyCall): Promise<Weight[]> {
  return inTurn(quick ? names.slice(0, 2) : names, quick, async (name) => {
    const weight = await weightOf(name, quick ? QUICK_ENTRIES : PRODUCTS)
    say(`memory: ${name}: ${whole(weight.heap)} B of heap, ${whole(weight.server)} B of the server's an entry`)
    return weight
  })
}

async function weightOf(name: string, products: number): Promise<Weight> {
  const server = await startRedisServer()
  const client = new Redis(server.url)
  const contestant = new ContestantProcess(name, ['--expose-gc'])
  try {
    const ground: Ground = { urls: [server.url], database: '', ttlMs: TTL_MS, products, room: 2 * products }
    const setUp = await contestant.open(ground)
    const before = await usedMemory(client)
    const heap = await contestant.do<number>('weigh', undefined, PATIENCE_MS)
    return { name, setUp, heap, server: ((await usedMemory(client)) - before) / products }
  } finally {
    await contestant.close()
    client.disconnect()
    await server.stop()
  }
}

async function usedMemory(client: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
}

function found(near: readonly Weight[], far: readonly Weight[]): Findings {
  const heaps = near.map(({ name, heap }) => ({ name, bytes: heap }))
  const servers = far.map(({ name, server }) => ({ name, bytes: server }))
  const lines = (some: typeof heaps, where: string) => some.map(({ name, bytes }) => [`  ${name}`, whole(bytes), where])
  const text = aligned([['', 'bytes an entry', 'of'], ...lines(heaps, 'the process'), ...lines(servers, 'the server')]).join('\n')
  return {
    rows: [...rowsOf(heaps), ...rowsOf(servers)],
    text: `${text}\n  The JSON and its key are ${JSON_BYTES + 13} B.`,
    doubts: [],
    setUps: new Map([...near, ...far].map(({ name, setUp }) => [name, setUp])),
    figures: [
      figureOf('memory-near', 'Heap that an entry kept in the process takes', heaps),
      figureOf('memory-server', 'Memory of the server that an entry takes', servers),
    ],
  }
}

function rowsOf([ours, ...peers]: readonly { readonly name: string; readonly bytes: number }[]): Row[] {
  return peers.map(({ name, bytes }) => {
    const ratio = ours!.bytes / bytes
    const figures = { value: ratio, ours: ours!.bytes, peer: bytes, spread: [ratio, ratio] as const }
    return { name: `memory/${name}`, bar: null, gated: false, unit: 'bytes an entry', ...figures }
  })
}

function figureOf(name: string, title: string, some: readonly { readonly name: string; readonly bytes: number }[]): BarsFigure {
  const bars = some.map(({ name: label, bytes }, nth) => {
    return { label, value: bytes, whose: nth === 0 ? 'ours' : label === 'lru-cache' ? 'limit' : 'peer' } as const
  })
  return { kind: 'bars', name, title, unit: 'bytes an entry, less is better', bars }
}
