/**
 * Interleaved rounds: everybody runs once a round, in an order that moves on by one each round.
 *
 * On a shared machine the minute matters more than many a library does. Runs of one round lie seconds apart, so whatever slows the machine
 * slows them all, and nobody always runs first or after the same rest.
 */

export interface RoundsPlan {
  readonly rounds: number
  /** How long a contestant runs before the first round, ms. */
  readonly warmUpMs: number
  readonly runMs: number
}

export type Run<T> = (ms: number) => Promise<T>

/** @returns by name, what came out, one a round */
export async function interleavedRounds<T>(runs: ReadonlyMap<string, Run<T>>, plan: RoundsPlan): Promise<Map<string, T[]>> {
  const names = [...runs.keys()]
  const figures = new Map(names.map((name): [string, T[]] => [name, []]))
  for (const name of names) await runs.get(name)!(plan.warmUpMs)
  for (let round = 0; round < plan.rounds; round++) {
    for (let place = 0; place < names.length; place++) {
      const name = names[(place + round) % names.length]!
      figures.get(name)!.push(await runs.get(name)!(plan.runMs))
    }
  }
  return figures
}
