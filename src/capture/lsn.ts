/**
 * Places in PostgreSQL's log: as numbers, which compare, and as it prints them.
 */

/** A page of the log begins with a header of one of these lengths, which a place may be told before or behind. */
const PAGE_BYTES = 8_192n
const HEADERS = [24n, 40n]

/** @param text `16/B374D848` */
export function lsnOf(text: string): bigint {
  const [high, low] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

export function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase()
}

/** The place as the end of what comes before it: where nothing but a page's header lies between, the page's beginning. */
export function endingAt(lsn: bigint): bigint {
  return HEADERS.includes(lsn % PAGE_BYTES) ? lsn - (lsn % PAGE_BYTES) : lsn
}
