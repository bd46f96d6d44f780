/**
 * The Lua scripts that lie beside this file, with the name that a server knows each by: the SHA-1 of its text.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface ScriptSource {
  readonly lua: string
  readonly sha1: string
}

export function scriptSource(lua: string): ScriptSource {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

const read = (name: string): ScriptSource => scriptSource(readFileSync(new URL(`./scripts/${name}`, import.meta.url), 'utf8'))

/** Applies changes to many keys: see the file. */
export const applyScript: ScriptSource = read('apply.lua')
/** Compare-and-set of one control record: see the file. */
export const compareAndSetControlScript: ScriptSource = read('compare-and-set-control.lua')
