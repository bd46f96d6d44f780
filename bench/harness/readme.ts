/**
 * Where a set-up is described: a section of a library's README, as it was published with the version that is installed here.
 */
import { existsSync, readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * @param name of the package as this workspace imports it @param heading of the section, as it stands there
 * @returns the section's address on npm
 * @throws Error when the README of the installed version has no such section
 */
export function readmeOf(name: string, heading: string): string {
  const path = findPackageJSON(name, import.meta.url)
  if (path === undefined) throw new Error(`needs the package ${name} installed, but found none`)
  const { name: published, version }: { name: string; version: string } = JSON.parse(readFileSync(path, 'utf8'))
  if (!headingsOf(join(dirname(path), 'README.md')).includes(heading))
    throw new Error(`${published} ${version}: its README has no section '${heading}'`)
  return `https://www.npmjs.com/package/${published}/v/${version}#${slugOf(heading)}`
}

/** None where there is no such file. What stands in a block of code is no heading. */
function headingsOf(readme: string): string[] {
  if (!existsSync(readme)) return []
  const prose = readFileSync(readme, 'utf8').replace(/^ *(```|~~~)[\s\S]*?^ *\1/gm, '')
  return Array.from(prose.matchAll(/^#+ +(.*?)\s*$/gm), (match) => match[1]!)
}

/** As GitHub and npm name the first heading of that text. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-')
}
