/**
 * The Lua scripts that lie beside this file, with the name that a server knows each by: the SHA-1 of its text.
 *
 * They are read when a node first needs them, and Node's crypto with them: importing the library is to be quick also where no node is Redis.
 */

export interface ScriptSource {
  readonly lua: string
  readonly sha1: string
}

export function scriptSource(lua: string): ScriptSource {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

/** Applies changes to many keys: see the file. */
export const applyScript = (): ScriptSource => read('apply.lua')
/** Grants leases of many keys: see the file. */
export const leaseScript = (): ScriptSource => read('lease.lua')
/** Compare-and-set of one control record: see the file. */
export const compareAndSetControlScript = (): ScriptSource => read('compare-and-set-control.lua')

const sources = new Map<string, ScriptSource>()

function read(name: string): ScriptSource {
  let source = sources.get(name)
  if (source === undefined) {
    const { readFileSync } = process.getBuiltinModule('node:fs')
    source = scriptSource(readFileSync(new URL(`./scripts/${name}`, import.meta.url), 'utf8'))
    sources.set(name, source)
  }
  return source
}
