/** One after the other, for what is measured; in a smoke run, where nothing is, all at once. @returns what came out, in order */
export async function inTurn<T, R>(all: readonly T[], isQuick: boolean, work: (each: T) => Promise<R>): Promise<R[]> {
  if (isQuick) return Promise.all(all.map(work))
  const results: R[] = []
  for (const each of all) results.push(await work(each))
  return results
}
