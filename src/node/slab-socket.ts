/**
 * A socket whose bytes come in slabs: many small replies lie in one piece of memory, one behind the other.
 *
 * Node gives every read of a socket 64 KiB of its own, cut to what came. A cache's replies are small and come thousands of times a second, so
 * that half of what a busy process spends on collecting garbage is the freeing of those, on threads that its server would have used.
 * Here reads go one behind the other into a slab until that is full, by the option that Node has for it (`onread` of `net.Socket`); nothing is
 * written over, so a reply's strings may be views of the slab. What they cost: whoever keeps one keeps a slab alive, and so does an idle socket.
 */
import { connect, type Socket } from 'node:net'
import { markAsUntransferable } from 'node:worker_threads'

/** As much as Node sets aside for one read. */
export const SLAB_BYTES = 64 * 1024
/** With less room than this, or than twice what came last, a slab is given up: what its end cuts has to be put together, and read in two goes. */
export const LEAST_ROOM_BYTES = 16 * 1024

/** Emits `data` as any socket does; what comes while nobody listens to that is lost, for nothing is kept to be read later. */
export function connectInSlabs(host: string, port: number): Socket {
  let room = newSlab()
  const socket: Socket = connect({
    host,
    port,
    onread: {
      buffer: () => room,
      callback: (count, read): boolean => {
        const isFull = read.length - count < Math.max(LEAST_ROOM_BYTES, 2 * count)
        room = isFull ? newSlab() : (read as Buffer).subarray(count)
        return socket.emit('data', read.subarray(0, count))
      },
    },
  })
  return socket
}

/** Given away by somebody who transfers the memory of a reply, it would be written to all the same. */
function newSlab(): Buffer {
  const slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  markAsUntransferable(slab.buffer)
  return slab
}
