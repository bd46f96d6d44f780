/**
 * `ringtail/testing`: what Ringtail's own tests are made of, for tests of code that uses it and of nodes and stores made elsewhere.
 */

export { FakeClock } from './fake-clock.ts'
export { type NodeConformanceOptions, nodeConformance } from './node-conformance.ts'
export { findRedisServer, type RedisServer, startRedisServer } from './redis-server.ts'
export { seededRandom } from './seeded-random.ts'
export { type StoreConformance, storeConformance } from './store-conformance.ts'
