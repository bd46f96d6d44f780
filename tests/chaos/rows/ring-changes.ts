/**
 * Members that come and go by decision, under load.
 */
import type { MissingRow } from '../row.ts'

const missing = 'not built yet: the tier cannot change its ring'

export const RING_ROWS: readonly MissingRow[] = [
  { name: 'node-added', what: 'a sixth node is added', missing },
  { name: 'node-drained', what: 'a node is drained and removed', missing },
  { name: 'node-replaced', what: 'another node takes the place of one', missing },
]
