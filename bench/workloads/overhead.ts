/**
 * Hits of Ringtail with and without what watches over it: guards before the nodes, breakers, health, admission, counts and times.
 *
 * Little is to be told apart, so there are many rounds.
 */
import type { Entry, Workload } from '../harness/workload.ts'
import { hits } from './hits.ts'

export function overhead(inFlight: number, entry: Entry): Workload {
  return {
    ...hits(inFlight, entry),
    name: `overhead-${inFlight}`,
    title: `breaker, health and metrics: hits with and without, ${inFlight} in flight`,
    roundsTimes: 3,
  }
}
