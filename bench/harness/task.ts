/**
 * What a study has a contestant do in its own process: the study's other half, found by its name in the line-up.
 */
import type { Contestant, Ground } from './contestant.ts'

export interface TaskCall<A> {
  readonly contestant: Contestant
  readonly ground: Ground
  /** What the study says. */
  readonly args: A
}

/** @returns what is sent to the study: it goes from process to process, by a structured clone */
export type Task = (call: TaskCall<never>) => Promise<unknown>
