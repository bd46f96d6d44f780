/**
 * Import cycles: files that, by way of others, import themselves.
 *
 * Found by depth-first search; each cycle is told once, starting at its file that comes first in the alphabet. Not every cycle of a tangle
 * is told, but every tangle tells at least one.
 */

/** @param graph file → the files it imports @returns each cycle as its path, the first file repeated at the end */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles = new Map<string, string[]>()
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (file: string): void => {
    const start = trail.indexOf(file)
    if (start >= 0) {
      const cycle = turnedToItsFirst(trail.slice(start))
      cycles.set(cycle.join(' '), [...cycle, cycle[0]!])
      return
    }
    if (done.has(file)) {
      return
    }
    trail.push(file)
    for (const next of graph.get(file) ?? []) {
      visit(next)
    }
    trail.pop()
    done.add(file)
  }
  for (const file of [...graph.keys()].sort()) {
    visit(file)
  }
  return [...cycles.values()]
}

function turnedToItsFirst(cycle: readonly string[]): string[] {
  const first = [...cycle].sort()[0]!
  const at = cycle.indexOf(first)
  return [...cycle.slice(at), ...cycle.slice(0, at)]
}
