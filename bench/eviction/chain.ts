/**
 * A doubly linked ring of keys, newest first: what every policy here orders its entries with.
 */

export interface Link {
  key: number
  size: number
  newer: Link
  older: Link
  /** Which of a policy's chains it is in. */
  chain: Chain | undefined
  /** Reads, as far as the policy counts them; or a mark, 0 or 1. */
  reads: number
}

export class Chain {
  readonly end: Link
  length = 0
  /** Of its links together. */
  size = 0

  constructor() {
    this.end = linkOf(-1)
    this.end.newer = this.end
    this.end.older = this.end
  }

  /** The chain's end when it is empty. */
  get oldest(): Link {
    return this.end.newer
  }

  /** Takes a link in as the newest, out of whatever chain it was in. */
  push(link: Link): void {
    link.chain?.remove(link)
    const second = this.end.older
    link.newer = this.end
    link.older = second
    second.newer = link
    this.end.older = link
    link.chain = this
    this.length++
    this.size += link.size
  }

  remove(link: Link): void {
    link.newer.older = link.older
    link.older.newer = link.newer
    link.chain = undefined
    this.length--
    this.size -= link.size
  }
}

export function linkOf(key: number, size = 1): Link {
  const link = { key, size, chain: undefined, reads: 0 } as unknown as Link
  link.newer = link
  link.older = link
  return link
}
