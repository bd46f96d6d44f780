/**
 * Do the owners of each key hold the same, once nothing is under way?
 *
 * Given what lies on every node and who owns what, names each key whose owners differ: in version, kind or bytes, in one holding what
 * another does not, or in a node holding what it does not own.
 */
import { isNote } from '../cluster/node-record.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import type { Violation } from './history-violations.ts'
import { Violations } from './history-violations.ts'

export interface RestingEntry {
  readonly version: bigint
  /** As the envelope's: `value`, `negative`, `tombstone` … */
  readonly kind: string
  /** Of all that must be equal, or the bytes themselves as text. */
  readonly hash: string
}

export interface NodeDump {
  readonly node: string
  readonly entries: ReadonlyMap<string, RestingEntry>
}

export interface ReplicasCheck {
  /** Whether an owner may hold nothing where others do: it was emptied, or evicts on its own. Default false. */
  readonly mayForget?: boolean | undefined
  /** Default 100. */
  readonly maxViolations?: number | undefined
}

export interface ReplicasReport {
  readonly keys: number
  /** How many keys differ. */
  readonly diverged: number
  readonly violations: readonly Violation[]
}

/** @param ownersOf the ids of the nodes that own a key as it lies on the nodes */
export function checkReplicas(
  dumps: readonly NodeDump[],
  ownersOf: (key: string) => readonly string[],
  options: ReplicasCheck = {},
): ReplicasReport {
  knownOptions(options, 'checkReplicas', ['mayForget', 'maxViolations'])
  const violations = new Violations(wholeNumber(options.maxViolations ?? 100, 'checkReplicas: maxViolations', 0))
  const keys = new Set(dumps.flatMap(({ entries }) => [...entries.keys()].filter((key) => !isNote(key))))
  for (const key of keys) {
    const difference = differenceOf(key, dumps, new Set(ownersOf(key)), options.mayForget ?? false)
    if (difference !== undefined) violations.found('diverged', key, () => ({ explanation: difference, operations: [] }))
  }
  return { keys: keys.size, diverged: violations.counts.diverged, violations: violations.kept }
}

function differenceOf(key: string, dumps: readonly NodeDump[], owners: ReadonlySet<string>, mayForget: boolean): string | undefined {
  const stray = dumps.find(({ node, entries }) => entries.has(key) && !owners.has(node))
  if (stray !== undefined) return `${stray.node} holds it, but its owners are ${[...owners].join(', ')}`
  const held = dumps.filter(({ node }) => owners.has(node)).map(({ node, entries }) => ({ node, entry: entries.get(key) }))
  const compared = mayForget ? held.filter(({ entry }) => entry !== undefined) : held
  const first = compared[0]?.entry
  const other = compared.find(({ entry }) => !isEqual(entry, first))
  if (other === undefined) return undefined
  return `its owners differ: ${held.map(({ node, entry }) => `${node} holds ${entryText(entry)}`).join(', ')}`
}

function isEqual(one: RestingEntry | undefined, other: RestingEntry | undefined): boolean {
  return one?.version === other?.version && one?.kind === other?.kind && one?.hash === other?.hash
}

function entryText(entry: RestingEntry | undefined): string {
  return entry === undefined ? 'nothing' : `a ${entry.kind} of version ${entry.version} (${entry.hash.slice(0, 16)})`
}
