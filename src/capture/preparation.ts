/**
 * The preparation of a database, for the front door: loaded when it is called, for whoever does not call it would pay for it as well.
 */
import type { CapturePreparation, PrepareOptions } from './prepare-database.ts'

export type { CapturePreparation, PrepareOptions }

/** Prepares a database for `tier.captureChanges`; may be called again. @returns what was done, a line each @throws ConfigurationError, StoreError */
export async function setUpCapture(options: PrepareOptions): Promise<string[]> {
  return (await import('./prepare-database.ts')).setUpCapture(options)
}

/** Takes down what `setUpCapture` made, but for version triggers and replica identities. @returns what was done, a line each */
export async function takeDownCapture(options: PrepareOptions): Promise<string[]> {
  return (await import('./prepare-database.ts')).takeDownCapture(options)
}

/** What there is in a database. */
export async function captureStatus(options: PrepareOptions): Promise<CapturePreparation> {
  return (await import('./prepare-database.ts')).captureStatus(options)
}
