/**
 * Where a set-up is described: a section of a library's README, as it was published with the version that is installed here.
 */
import { readFileSync } from 'node:fs'
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
  const headings = readFileSync(join(dirname(path), 'README.md'), 'utf8')
    .split('\n')
    .flatMap((line) => /^#+ +(.*?)\s*$/.exec(line)?.[1] ?? [])
  if (!headings.includes(heading)) throw new Error(`${published} ${version}: its README has no section '${heading}'`)
  return `https://www.npmjs.com/package/${published}/v/${version}#${slugOf(heading)}`
}

/** As GitHub and npm name a heading. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-')
}
