/**
 * Text from outside (a file, an address, another process) as it may be shown on a terminal: a few characters of it, none of them raw.
 *
 * A line of a garbage file can hold half a megabyte, or the escape sequences that move a cursor and name a window.
 */
const SHOWN_CHARACTERS = 60
const TOLD_CHARACTERS = 240

// C0 and C1 controls (ESC and CSI among them), line separators, and what turns the direction of writing.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is for.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** A piece of text in quotes, its first 60 characters. */
export function shown(text: string): string {
  const first = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
  return harmless(JSON.stringify(first), Number.POSITIVE_INFINITY)
}

/** A sentence of ours that has such text in it. @param most characters of it */
export function harmless(sentence: string, most: number = TOLD_CHARACTERS): string {
  const cut = sentence.length > most ? `${sentence.slice(0, most - 1)}…` : sentence
  return cut.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
