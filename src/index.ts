/**
 * Ringtail's front door: everything a user imports, by name.
 */

export { Cache, type CacheReport, type KeyResult, type ReadOutcome } from './caches/cache.ts'
export type { DeleteOptions, LoaderContext, ManyLoaderContext, PutOptions, ReadOptions, TouchOptions } from './caches/cache-calls.ts'
export type { CacheOptions, ConsistencyOptions, DeadlineOptions, NearOptions } from './caches/cache-options.ts'
export type { Namespace } from './caches/namespace.ts'
export type {
  Capture,
  CapturedCache,
  CapturedRow,
  CapturedTableOptions,
  CaptureOptions,
  CaptureState,
  CaptureStats,
} from './capture/capture.ts'
export {
  type CapturePreparation,
  captureStatus,
  type PrepareOptions,
  setUpCapture,
  takeDownCapture,
} from './capture/preparation.ts'
export { type Clock, type Random, systemClock, systemRandom, type Timer } from './clock.ts'
export type { ReadLevel, WriteLevel } from './cluster/cluster.ts'
export type { CodecOptions } from './codec/codec-options.ts'
export { type Compression, type DictionaryCompression, noCompression, type ZstdOptions, zstd } from './codec/compression.ts'
export { json } from './codec/json.ts'
export { msgpack } from './codec/msgpack.ts'
export { rawBytes } from './codec/raw-bytes.ts'
export type { Serializer } from './codec/serializer.ts'
export type { StandardSchema } from './codec/standard-schema.ts'
export type {
  CheckOptions,
  ConsistencyCheck,
  ConsistencyCounts,
  ConsistencyReport,
  Nines,
  StaleCopy,
  Staleness,
  SweepProgress,
} from './consistency/consistency.ts'
export { createTier, type Tier } from './create-tier.ts'
export type { Version } from './entry.ts'
export * from './errors.ts'
export type { CacheEventName, ChangeEventName, EventName, Listener, SettingAdvice, TierEvents } from './events.ts'
export type { Bus, Listener as BusListener } from './invalidation/bus.ts'
export type { CacheChange } from './invalidation/change-feed.ts'
export type { SubscribeOptions } from './invalidation/change-interest.ts'
export { MemoryBus } from './invalidation/memory-bus.ts'
export { type RedisBusOptions, redisBus } from './invalidation/redis-bus.ts'
export { type JournalOptions, openJournal } from './journal/disk-journal.ts'
export type { DeadLetter, Journal, JournalRecord, JournalStats } from './journal/journal.ts'
export type { HistogramBucket, HistogramSnapshot } from './metrics/histogram.ts'
export type { CacheMetrics, Outcome, OutcomeCounts, PackingReport } from './metrics/outcomes.ts'
export { type PrometheusSource, prometheusText } from './metrics/prometheus.ts'
export type { NearStats } from './near/near-cache.ts'
export { type MemoryNodeOptions, memoryNode } from './node/memory-node.ts'
export type {
  CacheNode,
  Change,
  Control,
  LocalEntries,
  NodeCall,
  NodeIdentity,
  NodeParts,
  NodeStats,
  Pong,
  Receiver,
  Script,
  ScriptArgument,
  ScriptReply,
  Status,
  Watcher,
} from './node/node.ts'
export { type RedisNodeOptions, redisNode } from './node/redis-node.ts'
export type { NodeReport } from './node-report.ts'
export type { CallOptions, Duration } from './options.ts'
export type { QueueDepth, QueueName, QueueTeller, TellQueue, TierQueues } from './queues.ts'
export type { StoreBreakerOptions, StoreGuardOptions } from './resilience/guarded-store.ts'
export type { NodeState } from './resilience/health.ts'
export { type HashRingOptions, hashRing } from './ring/hash-ring.ts'
export { type KetamaOptions, ketamaRing } from './ring/ketama.ts'
export { type MemberShare, type Move, type MovedShares, movedShares, sharesOf } from './ring/moved-ranges.ts'
export type { Placement, Ring, RingMember } from './ring/ring.ts'
export type { Session } from './session.ts'
export { type MemoryStore, type MemoryStoreOptions, memoryStore } from './store/memory-store.ts'
export type { PostgresKeyType } from './store/postgres-key.ts'
export type { PostgresPool, PostgresQuery } from './store/postgres-query.ts'
export { type PostgresReaderOptions, postgresReader } from './store/postgres-reader.ts'
export { type PostgresStoreOptions, postgresStore } from './store/postgres-store.ts'
export { type PostgresTableOptions, postgresRemovalsTable, postgresTable, postgresVersionTrigger } from './store/postgres-table.ts'
export type { PostgresColumn, PostgresColumns } from './store/postgres-value.ts'
export { type Shard, type ShardedStoreOptions, shardedReader, shardedStore } from './store/sharded-store.ts'
export type { ShardingOptions } from './store/sharding.ts'
export { type SqliteStore, type SqliteStoreOptions, sqliteStore } from './store/sqlite-store.ts'
export type {
  Loaded,
  Removal,
  Row,
  Save,
  SaveStatus,
  ShardGuardStats,
  ShardState,
  ShardStats,
  Store,
  StoreCall,
  StoreLimits,
  StoreReader,
} from './store/store.ts'
export { cacheAside } from './strategy/cache-aside.ts'
export { readThrough } from './strategy/read-through.ts'
export type { LoadControls, RowChange, StoreCounts, StrategyChoice } from './strategy/strategy.ts'
export { writeAround } from './strategy/write-around.ts'
export { type WriteBehindOptions, writeBehind } from './strategy/write-behind.ts'
export { writeThrough } from './strategy/write-through.ts'
export type { TierMetrics } from './tier-metrics.ts'
export type { TierOptions } from './tier-options.ts'
export { ringPlanText } from './topology/ring-plan-text.ts'
export type {
  ChangeProgress,
  ConnectNode,
  CopyCounts,
  DatabaseOutlook,
  ExpectedLoads,
  Member,
  Phase,
  RingChange,
  RingChangeOptions,
  RingChangeReport,
  RingPlan,
  RingPlanOptions,
  TopologyReport,
} from './topology/topology.ts'
