/** The members that a change of the ring comes to. */
import { ConfigurationError } from '../errors.ts'
import { knownOptions } from '../options.ts'
import type { Member, RingChange } from './topology.ts'
import { memberOf } from './topology-record.ts'

/** @throws ConfigurationError for a node that is there already, one that is not, a weight that is none, and for what changes nothing */
export function nextMembers(members: readonly Member[], change: RingChange): readonly Member[] {
  const what = 'a change of the ring'
  knownOptions(change, what, ['add', 'remove', 'weights'])
  const added = listOf(change.add, `${what}: add`, 'an array of nodes').map(memberOf)
  const removed = listOf(change.remove, `${what}: remove`, 'an array of node ids')
  const weights = new Map(Object.entries(change.weights ?? {}))
  if (added.length + removed.length + weights.size === 0) throw ConfigurationError.of(what, "'add', 'remove' or 'weights'", change)
  const known = new Set(members.map(({ id }) => id))
  for (const { id } of added) {
    if (known.has(id)) throw ConfigurationError.of(`${what}: add`, 'nodes whose ids are not those of members', id)
    known.add(id)
  }
  for (const id of removed)
    if (!members.some((member) => member.id === id)) throw ConfigurationError.of(`${what}: remove`, 'ids of members', id)
  const next = [...members, ...added].filter(({ id }) => !removed.includes(id))
  for (const [id, weight] of weights) {
    if (!next.some((member) => member.id === id)) throw ConfigurationError.of(`${what}: weights`, 'ids of nodes that stay or are added', id)
    if (!(typeof weight === 'number' && weight > 0 && Number.isFinite(weight)))
      throw ConfigurationError.of(`${what}: weight of '${id}'`, 'a number > 0', weight)
  }
  return next.map((member) => ({ ...member, weight: weights.get(member.id) ?? member.weight }))
}

function listOf<T>(list: readonly T[] | undefined, what: string, needed: string): readonly T[] {
  if (list !== undefined && !Array.isArray(list)) throw ConfigurationError.of(what, needed, list)
  return list ?? []
}
