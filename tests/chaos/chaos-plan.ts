/**
 * How long and how hard a row is run, and the rules that hold in all rows.
 */

export interface ChaosPlan {
  readonly seed: number
  /** Requests a second, of both clients together. */
  readonly rate: number
  /** Load of which only the history is judged, ms: half of it at a quarter of the rate. What has never run is slow, and no fault is to answer for that. */
  readonly runInMs: number
  /** Load before the fault, ms. */
  readonly leadMs: number
  /** The fault's window, ms. */
  readonly faultMs: number
  /** Load after healing, ms. */
  readonly afterMs: number
  /** Requests that the window must hold for its share of successes to say something. */
  readonly leastRequests: number
  /** Whether a single failed request is too many. */
  readonly noneMayFail: boolean
  /** Of each client to each shard: twice as many as statements under way where one takes 300 ms and a third of the writes go there. */
  readonly connections: number
  /** How often a row is run again whose measurement was void. */
  readonly repeats: number
}

/** 30,000 requests without a failure show 99.99 % with 95 % confidence. */
export const LONG: ChaosPlan = {
  seed: 1,
  rate: 2_000,
  runInMs: 6_000,
  leadMs: 2_000,
  faultMs: 16_000,
  afterMs: 5_000,
  leastRequests: 30_000,
  noneMayFail: false,
  connections: 24,
  repeats: 1,
}

export const SHORT: ChaosPlan = {
  seed: 1,
  rate: 300,
  runInMs: 0,
  leadMs: 600,
  faultMs: 2_500,
  afterMs: 2_500,
  leastRequests: 400,
  noneMayFail: true,
  connections: 5,
  repeats: 2,
}

export const CLIENTS = 2
/** Never changed, so that nodes have them whatever happens to the database; and changed all the time. */
export const STEADY_KEYS = 1_500
export const CHANGING_KEYS = 500
export const steadyKey = (nth: number): string => `steady-${nth}`
export const changingKey = (nth: number): string => `changing-${nth}`

/** What everybody wants when a herd comes. */
export const HERD_KEY = steadyKey(0)

/** What nodes or `grace` can answer, and what has to be loaded or saved, ms from the moment a request was due. */
export const DEADLINE_MS = { held: 250, stored: 1_000 } as const
/** What a timer of the tier's own deadline of 1 s may come late by, ms: a refusal that it brings cannot come before. */
export const TIMER_LATE_MS = 50
/** How old an answer may be that is not marked stale, ms: what a change of who answers may take to become known. */
export const STALENESS_BOUND_MS = 2_000
/** A request that could not be sent this long after it was due is not sent. */
export const UNSENT_AFTER_MS = 1_000
/** Above this lag (p99.9) of a generator, or of the proxies' process, what depends on speed says nothing of the tier. */
export const VOID_LAG_MS = 60
/** Of a run or of one row: each request is kept until all are judged, in the conductor with some 350 bytes. */
export const MOST_REQUESTS = 4_000_000
export const MOST_IN_FLIGHT = 50_000
