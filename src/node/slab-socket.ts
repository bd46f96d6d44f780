/**
 * A socket whose bytes come in slabs: many small replies lie in one piece of memory, one behind the other.
 *
 * Node gives every read of a socket 64 KiB of its own, cut to what came. A cache's replies are small and come thousands of times a second, so
 * that half of what a busy process spends on collecting garbage is the freeing of those, on threads that its server would have used.
 * Here reads go one behind the other into a slab until that is full, by the option that Node has for it (`onread` of `net.Socket`); nothing is
 * written over, so a reply's strings may be views of the slab. Whoever keeps one keeps at most `SLAB_BYTES` alive, as before.
 */
import { connect, type Socket } from 'node:net'

/** As much as Node sets aside for one read. */
export const SLAB_BYTES = 64 * 1024
/** With less room than this, or than twice what came last, a slab is given up: what its end cuts has to be put together, and read in two goes. */
const LEAST_ROOM_BYTES = 16 * 1024

/** Emits `data` as any socket does; what is set up by `pipe`, `read` or an iterator finds nothing. */
export function connectInSlabs(host: string, port: number): Socket {
  let room = Buffer.allocUnsafeSlow(SLAB_BYTES)
  const socket: Socket = connect({
    host,
    port,
    onread: {
      buffer: () => room,
      callback: (count): boolean => {
        const chunk = room.subarray(0, count)
        const isFull = room.length - count < Math.max(LEAST_ROOM_BYTES, 2 * count)
        room = isFull ? Buffer.allocUnsafeSlow(SLAB_BYTES) : room.subarray(count)
        return socket.emit('data', chunk)
      },
    },
  })
  return socket
}
