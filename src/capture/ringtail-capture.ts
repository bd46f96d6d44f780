#!/usr/bin/env node
/**
 * The program `ringtail-capture`: see `capture-command.ts`.
 */
import { captureCommand } from './capture-command.ts'

const output = {
  say: (line: string) => void process.stdout.write(`${line}\n`),
  complain: (line: string) => void process.stderr.write(`${line}\n`),
}
process.exitCode = await captureCommand(process.argv.slice(2), process.env, output)
