/** What every placement demands of members and replicas before it places anything. */
import { ConfigurationError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import type { RingMember } from './ring.ts'

/**
 * @param what the placement, for the message
 * @returns a frozen copy of the members, in their order
 * @throws ConfigurationError when there are fewer members than replicas, two share an id, or a weight is not a number > 0
 */
export function checkedMembers<M extends RingMember>(members: readonly M[], replicas: number, what: string): readonly M[] {
  wholeNumber(replicas, `${what}: replicas`, 1)
  if (members.length < replicas) {
    throw ConfigurationError.of(`${what}: members`, `at least as many as replicas (${replicas})`, members.length)
  }
  const ids = new Set<string>()
  for (const { id, weight, zone, label } of members) {
    checkName(id, `${what}: a member's id`)
    if (ids.has(id)) throw ConfigurationError.of(`${what}: members`, 'ids that differ', id)
    ids.add(id)
    if (typeof weight !== 'number' || !(weight > 0 && weight < Number.POSITIVE_INFINITY)) {
      throw ConfigurationError.of(`${what}: weight of '${id}'`, 'a number > 0', weight)
    }
    if (zone !== undefined) checkName(zone, `${what}: zone of '${id}'`)
    if (label !== undefined) checkName(label, `${what}: label of '${id}'`)
  }
  return Object.freeze([...members])
}

/** Two texts with lone surrogates may be the same bytes, and so stand at the same points. */
function checkName(name: unknown, what: string): void {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
    throw ConfigurationError.of(what, 'a text that is not empty and has no lone surrogates', name)
  }
}
