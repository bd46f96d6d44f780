/**
 * `ringtail/testing`: what Ringtail's own tests are made of, for tests of code that uses it and of nodes and stores made elsewhere.
 */

export { type Ranked, SieveTinyLfu } from '../eviction/sieve-tiny-lfu.ts'
export { type BareCache, bareCache } from './bare-cache.ts'
export { FakeClock } from './fake-clock.ts'
export { type FlakyNode, flakyNode } from './flaky-node.ts'
export { type FlakyReader, type FlakyStore, flakyReader, flakyStore } from './flaky-store.ts'
export { History, type HistoryLimits, type HistoryValue, type Operation, type OperationKind, type OperationOutcome } from './history.ts'
export { checkHistory, type HistoryCheck, type HistoryReport } from './history-checker.ts'
export { HistoryRecorder, readHistory, sharedMs } from './history-recorder.ts'
export { operationText, type Violation, type ViolationCounts, type ViolationKind, violationText } from './history-violations.ts'
export type { FlakyCall, FlakyOptions, Mishap, MishapOdds, MishapOutcome, MishapScript } from './mishap.ts'
export type { MishapCounts, Mishaps } from './mishaps.ts'
export { type NodeConformanceOptions, nodeConformance } from './node-conformance.ts'
export { findRedisServer, type RedisServer, startRedisServer } from './redis-server.ts'
export { checkReplicas, type NodeDump, type ReplicasCheck, type ReplicasReport, type RestingEntry } from './replicas-at-rest.ts'
export { seededRandom } from './seeded-random.ts'
export { type StoreConformance, storeConformance } from './store-conformance.ts'
export type { ByteCounts, ToxicDoor } from './toxic-door.ts'
export { startToxicProxy, type ToxicProxy, type ToxicProxyOptions } from './toxic-proxy.ts'
export type { Direction, Toxics } from './toxics.ts'
