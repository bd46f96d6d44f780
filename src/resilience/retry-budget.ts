/**
 * How many requests may be sent on top of those that callers made: a share of them, so that trying again never becomes the load that makes
 * it necessary.
 *
 * Where a tenth of all requests is tried again, a service that has slowed down gets a tenth more work; where each is tried three times,
 * three times as much, and stays down ("Addressing Cascading Failures", Site Reliability Engineering, 2016). It is a bucket of tokens (Finagle's
 * retry budget): each request puts in a share of one, each extra request takes one out. The law: in all, extra requests are no more than
 * `burst` and the share of the requests so far.
 */
import { type NodeError, type RingtailError, UnavailableError } from '../errors.ts'

export interface RetryBudgetOptions {
  /** Extra requests for each request, above 0. */
  readonly share: number
  /** What can be saved up, in extra requests. */
  readonly burst: number
  /** What there is at the start. Default: `burst`. */
  readonly initial?: number | undefined
}

/** Of tries that a node failed after they were sent. */
export const RETRIES: RetryBudgetOptions = { share: 0.1, burst: 256 }

export class RetryBudget {
  readonly #share: number
  readonly #burst: number
  #requests = 0
  #tokens: number

  constructor({ share, burst, initial = burst }: RetryBudgetOptions) {
    this.#share = share
    this.#burst = burst
    this.#tokens = initial
  }

  /** Counts requests that callers made. On the path of every read, hence no more than this. */
  requested(count: number): void {
    this.#requests += count
  }

  /** @param extra requests, all or none @returns whether they may be sent, and have been paid for */
  tryTake(extra: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#requests * this.#share)
    this.#requests = 0
    if (this.#tokens < extra) return false
    this.#tokens -= extra
    return true
  }
}

/** Whether trying elsewhere is on top of load that a try has already been: one that was refused, or never sent, was none. */
export function costsRetry(error: RingtailError): boolean {
  return error.code === 'DEADLINE_EXCEEDED' || (error.code === 'NODE_FAILED' && (error as NodeError).outcome === 'unknown')
}

export function outOfRetries(cause: RingtailError): UnavailableError {
  return new UnavailableError('too many tries have failed of late for another one', { cause })
}
