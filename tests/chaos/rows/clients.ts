/**
 * What happens to the processes that use the tier.
 */
import type { FaultRow } from '../row.ts'

const clock = (offset: string): Pick<FaultRow, 'setting' | 'inject' | 'heal'> => ({
  setting: { fakeClock: true },
  inject: async (ground) => ground.setWallClock(offset),
  heal: async (ground) => ground.setWallClock('+0'),
})

export const CLIENT_ROWS: readonly FaultRow[] = [
  {
    name: 'process-killed-with-writes-pending',
    what: 'a process that writes behind gets SIGKILL, and a successor goes on with its journal; what was under way in it, or due before that, is not counted',
    setting: { strategy: 'write-behind' },
    clients: { do: 'kill' },
    proof: ({ observed: { reports } }) =>
      reports.some(({ adopted }) => adopted > 0) ? undefined : 'no write was pending when it was killed',
  },
  {
    name: 'wall-clock-ahead',
    what: "a process's wall clock jumps 10 minutes ahead, and back",
    ...clock('+600'),
  },
  {
    name: 'wall-clock-behind',
    what: "a process's wall clock jumps back 10 minutes, and ahead again",
    ...clock('-600'),
  },
]
