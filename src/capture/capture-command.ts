/**
 * `ringtail-capture up | down | status`: prepares a database for change data capture, takes that down, or tells what there is.
 *
 * What was done is said on standard output, a line each; what is wrong on standard error, with what would be right. The exit code is 0; 1
 * where the database refused or is not prepared; 2 where the command was called wrongly.
 */
import { parseArgs } from 'node:util'
import { asError, ConfigurationError, RingtailError } from '../errors.ts'
import { CAPTURE_NAME } from './capture-options.ts'
import { type CapturePreparation, captureStatus, type PrepareOptions, setUpCapture, takeDownCapture } from './prepare-database.ts'

export interface CommandOutput {
  readonly say: (line: string) => void
  readonly complain: (line: string) => void
}

export const CAPTURE_USAGE = `ringtail-capture up     --database URL --table NAME… [options]   prepares the database
ringtail-capture down   --database URL [options]                 takes down what up has made
ringtail-capture status --database URL [options]                 tells what there is

  --database URL      postgres://user@host/database; or set DATABASE_URL, so that no password stands in the process list
  --table NAME        a table whose changes are captured, 'products' or 'shop.products'; may be given again
  --slot NAME         of the replication slot; default ${CAPTURE_NAME}
  --publication NAME  default ${CAPTURE_NAME}
  --key COLUMN        the key column, where it is not the primary key
  --version COLUMN    the version column; default version, where a table has one
  --version-trigger   gives each table a trigger that raises the version of a row whoever changes it
  --full-identity     has the log tell the old row whole (for tags of a deleted or changed row), at the cost of a larger log
  --outbox            triggers and a table in place of the log, for databases without logical replication
  --json              of status: one JSON object
  --help              this

up may be run again: it makes what is missing. A slot makes the database keep its log until a follower has read it: run 'down' when no
application captures any more, and set max_slot_wal_keep_size for times at which none runs.
Exit codes: 0 done; 1 the database refused, or (status) is not prepared; 2 called wrongly.`

const OPTIONS = {
  database: { type: 'string' },
  table: { type: 'string', multiple: true },
  slot: { type: 'string' },
  publication: { type: 'string' },
  key: { type: 'string' },
  version: { type: 'string' },
  'version-trigger': { type: 'boolean' },
  'full-identity': { type: 'boolean' },
  outbox: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** @param environment where `DATABASE_URL` is looked for @returns the exit code */
export async function captureCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  { say, complain }: CommandOutput,
): Promise<number> {
  try {
    const { values, positionals } = parsed(args)
    if (values.help === true || positionals[0] === 'help') {
      say(CAPTURE_USAGE)
      return 0
    }
    const [command, ...more] = positionals
    if (command === undefined || !['up', 'down', 'status'].includes(command) || more.length > 0)
      throw ConfigurationError.of('ringtail-capture', 'one of up, down, status (see --help)', positionals.join(' '))
    const database = values.database ?? environment.DATABASE_URL
    if (database === undefined) throw ConfigurationError.of('ringtail-capture: --database', 'postgres://…, or DATABASE_URL', undefined)
    const options: PrepareOptions = {
      database,
      tables: values.table,
      slot: values.slot,
      publication: values.publication,
      key: values.key,
      version: values.version,
      versionTrigger: values['version-trigger'],
      fullIdentity: values['full-identity'],
      outbox: values.outbox,
    }
    if (command === 'up' && values.table === undefined)
      throw ConfigurationError.of('ringtail-capture up: --table', 'at least one table', undefined)
    if (command === 'status') return tellStatus(await captureStatus(options), options, values.json === true, say)
    for (const line of await (command === 'up' ? setUpCapture(options) : takeDownCapture(options))) say(line)
    return 0
  } catch (thrown) {
    if (!(thrown instanceof RingtailError)) throw thrown
    complain(thrown.message)
    return thrown instanceof ConfigurationError && /^ringtail-capture|^setUpCapture|^takeDownCapture|^captureStatus/.test(thrown.message)
      ? 2
      : 1
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  } catch (cause) {
    throw new ConfigurationError(`ringtail-capture: ${asError(cause).message} (see --help)`, { cause })
  }
}

function tellStatus(status: CapturePreparation, options: PrepareOptions, json: boolean, say: (line: string) => void): number {
  const { walLevel, publication, slot, outbox } = status
  const isPrepared =
    options.outbox === true ? outbox !== undefined : publication !== undefined && slot !== undefined && slot.walStatus !== 'lost'
  if (json) {
    say(JSON.stringify({ prepared: isPrepared, ...status }))
    return isPrepared ? 0 : 1
  }
  say(`wal_level    ${walLevel}`)
  say(`publication  ${publication === undefined ? 'none' : `${publication.name}: ${publication.tables.join(', ') || 'no tables'}`}`)
  const kept = slot?.walBytes === undefined ? '' : `, keeps ${slot.walBytes} bytes of the log`
  say(
    `slot         ${slot === undefined ? 'none' : `${slot.name}: ${slot.active ? 'followed' : 'nobody follows'}, ${slot.walStatus}${kept}`}`,
  )
  say(`outbox       ${outbox === undefined ? 'none' : `${outbox} changes wait`}`)
  if (!isPrepared) say("not prepared: run 'ringtail-capture up'")
  return isPrepared ? 0 : 1
}
