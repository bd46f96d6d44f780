/** Longer copies of typed arrays, for tables that grow with what they describe. */

/** What a table has room for once it needs `least`: more than asked, so that growing stays rare, but not much, for what is unused costs memory too. */
export function grownLength(length: number, least: number): number {
  return length >= least ? length : Math.max(least, Math.min(length * 2, Math.ceil(length * 1.25) + 1_024), 16)
}

export function grown<A extends Uint8Array | Int32Array | Uint32Array | Float64Array>(array: A, length: number): A {
  const longer = new (array.constructor as new (length: number) => A)(length)
  longer.set(array)
  return longer
}
