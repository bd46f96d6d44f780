/**
 * What there is to run: the workloads, of `entrants.ts`, and the studies, each a file under `studies/`.
 */
import type { Study } from './harness/study.ts'
import { batching } from './studies/batching.ts'
import { catalogueMemory } from './studies/catalogue-memory.ts'
import { database } from './studies/database.ts'
import { eviction } from './studies/eviction.ts'
import { memory } from './studies/memory.ts'
import { openLoopStudy } from './studies/open-loop.ts'
import { overhead } from './studies/overhead.ts'
import { replay } from './studies/replay.ts'
import { ring } from './studies/ring.ts'

export { LIMITS, PEERS, SERVERS_OF, TASKS, WORKLOADS } from './entrants.ts'

export const STUDIES: readonly Study[] = [overhead, batching, openLoopStudy, replay, memory, catalogueMemory, ring, eviction, database]
