/**
 * Where the figures come from: without the machine, the versions and the command a figure is worth nothing.
 */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { cpus, release, totalmem, type } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
}

export function machine(): Machine {
  const cores = cpus()
  return {
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    // What was built beside the kernel's own version says nothing of speed.
    system: `${type()} ${release().split('.').slice(0, 2).join('.')}`,
  }
}

/** @param packages as this workspace imports them @returns by name and, for an alias, the real name: `{ 'ioredis-6': 'ioredis 6.0.0' }` */
export function versionsOf(packages: readonly string[]): Record<string, string> {
  const versions: Record<string, string> = { node: process.versions.node, v8: process.versions.v8 }
  for (const name of packages) {
    const path = findPackageJSON(name, import.meta.url)
    if (path === undefined) throw new Error(`needs the package ${name} installed, but found none`)
    const found: { name: string; version: string } = JSON.parse(readFileSync(path, 'utf8'))
    versions[name] = found.name === name ? found.version : `${found.name} ${found.version}`
  }
  return versions
}
