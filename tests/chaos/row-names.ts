/**
 * The rows of `npm run chaos`: one a fault, named here once and for all.
 *
 * A run that lacks one of them has failed, so that no fault is dropped by leaving out its file.
 */
export const ROW_NAMES = [
  'node-killed',
  'node-stopped',
  'node-slow',
  'node-resets-mid-reply',
  'node-blackholed',
  'node-unheard',
  'node-deaf',
  'client-cut-from-node',
  'client-cut-from-all-nodes',
  'node-flapping',
  'two-nodes-killed',
  'zone-killed',
  'all-nodes-killed',
  'node-restarted-empty',
  'node-restarted-from-old-snapshot',
  'node-loading',
  'node-out-of-memory',
  'node-readonly',
  'node-busy-script',
  'shard-down',
  'shard-silent',
  'shard-slow',
  'database-down',
  'database-silent',
  'process-killed-with-writes-pending',
  'wall-clock-ahead',
  'wall-clock-behind',
  'node-added',
  'node-drained',
  'node-replaced',
  'hot-key-herd',
  'overload-10x',
  'cold-start',
] as const

export type RowName = (typeof ROW_NAMES)[number]
